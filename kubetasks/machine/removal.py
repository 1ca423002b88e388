"""Taking away what setup made."""

import shutil

from kubetasks import artifacts, engine
from kubetasks.engine import Engine
from kubetasks.errors import ClusterError, SetupError
from kubetasks.labels import CLUSTER_LABEL
from kubetasks.machine import engine as machine_engine
from kubetasks.machine import receipt
from kubetasks.machine.install import new_log
from kubetasks.report import Report
from kubetasks.settings import Settings


def remove(settings: Settings, report: Report) -> list[str]:
    """Remove what setup made: images, the engine that it installed, the cache folder. Returns their names.

    Everything that forbids it is looked for first. Raises ClusterError while a cluster of ours exists, EngineError where the
    engine does not answer, SetupError where the engine that setup installed holds something of others.
    """
    if not settings.cache.exists():
        return []
    made = receipt.read(settings.cache)
    log = new_log(settings)
    if not machine_engine.release() and shutil.which("dockerd"):
        machine_engine.ensure(settings, report, log)  # nothing in an engine can be seen or removed while it stands still
    found = engine.connect() if machine_engine.release() else None
    images_of_ours: list[str] = []
    if found:
        clusters = sorted(labels.get(CLUSTER_LABEL, "") for labels in found.our_networks())
        if clusters:
            raise ClusterError(
                f"Clusters of ours are still there: {', '.join(clusters)}.",
                f"INVOKE_CLUSTER_NAME={clusters[0]} ./inv clean --all",
            )
        images_of_ours = [
            *found.image_tags(artifacts.NODE_REPOSITORY),
            *found.image_tags(artifacts.BASE_REPOSITORY),
            *(reference for reference in made.pulled if found.image_id(reference)),
        ]
        if made.folders:
            _require_unused(found, made.pulled)
    for reference in images_of_ours if found else []:
        assert found
        found.remove_image(reference)
    gone = images_of_ours
    if machine_engine.stop(settings.cache, report):
        gone.append("the engine that setup started")
    gone += machine_engine.uninstall(settings.cache, report, log)
    shutil.rmtree(settings.cache)
    return [*gone, str(settings.cache)]


def _require_unused(found: Engine, pulled: list[str]) -> None:
    """The data folder goes with the engine: nobody else's things may be in it."""
    names = {f"image {reference.split('@')[0]}" for reference in pulled}
    others = [thing for thing in found.everything() if thing not in names]
    if others:
        raise SetupError(
            f"The engine that setup installed holds what is not ours: {', '.join(others[:5])}.",
            "Remove it first (docker system prune --all --volumes), or keep the engine",
        )
