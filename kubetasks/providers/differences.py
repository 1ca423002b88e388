"""What the settings ask of a new cluster, and one that is there keeps as it was created."""

from collections.abc import Mapping

from kubetasks.report import Report


def say_differences(report: Report, cluster: str, settings: Mapping[str, tuple[str, str]]) -> None:
    """Say which of the settings, by their variables' names, differ: (what is asked for, what the cluster has) each."""
    told = [f"{name} is {wanted}, the cluster has {found}" for name, (wanted, found) in settings.items() if wanted != found]
    if told:
        report.say(f"Cluster {cluster} stays as it is ({'; '.join(told)}): ./inv delete start creates a new one.")
