"""Report settings that only a new cluster would follow."""

from collections.abc import Mapping

from kubetasks.terminal.report import Report


def say_differences(report: Report, cluster: str, settings: Mapping[str, tuple[str, str]]) -> None:
    """Report each setting whose wanted value differs from the cluster's; `settings` maps a variable to (wanted, actual)."""
    told = [f"{name} is {wanted}, the cluster has {found}" for name, (wanted, found) in settings.items() if wanted != found]
    if told:
        report.say(f"Cluster {cluster} stays as it is ({'; '.join(told)}): ./inv delete start creates a new one.")
