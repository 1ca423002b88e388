"""Remove the application: its service, its deployment, its images, or everything."""

from contextlib import suppress

from kubetasks.engine import image
from kubetasks.engine.client import AbsentError
from kubetasks.errors import ClusterError, LeftoverError
from kubetasks.kube import states, template
from kubetasks.kube.kinds import COUNTS
from kubetasks.pipeline import cluster
from kubetasks.pipeline.converge import converge
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.project.words import INV
from kubetasks.terminal.door import At, nowhere


def unexpose(run: Run) -> bool:
    """Delete the service and wait until no address answers. False if there was none. Raises OwnershipError, LeftoverError."""
    return converge(run, Desired(gone=frozenset({"service"}))).deleted


def undeploy(run: Run, *, volumes: bool = False) -> bool:
    """Delete the deployment and everything applied with it; objects with data (kinds.DATA) stay unless `volumes`.

    Return False if there was nothing to delete. Raises OwnershipError, LeftoverError.
    """
    return converge(run, Desired(gone=_gone("deployment", volumes=volumes))).deleted


def _gone(*what: str, volumes: bool) -> frozenset[str]:
    return frozenset({*what, *(["volumes"] if volumes else [])})


def remove_images(run: Run) -> bool:
    """Remove the application's images from the engine, and from the nodes except those that pods or workloads use.

    Return False if there were none. Raises LeftoverError if a container of the engine uses one, or if any are left.
    """
    with run.locked(), run.do.step("Removing the images") as at:
        references = _remove_from_engine(run, at)
        removed = _remove_from_nodes(run)
        return removed is None or bool(references + removed)


def _remove_from_engine(run: Run, at: At = nowhere) -> list[str]:
    references = run.do.unless_dry(lambda: image.unused(run.host_engine, run.app))
    if references is None:
        references = run.do.known(lambda: image.tags(run.host_engine, run.app), None)
    if references is None:  # no engine answers
        references = [name for made in run.images for name in made.names]
    if references:
        run.do.show(["docker", "rmi", "--force", *references])
    run.do.unless_dry(lambda: image.remove(run.host_engine, references, at))  # also removes the stages of failed builds
    return references


def _remove_from_nodes(run: Run) -> list[str] | None:
    """Remove the nodes' images, and return their names; None under --dry. Raises LeftoverError if the engine still has any."""

    def remove() -> list[str]:
        removed = run.provider.remove_images(lambda: _used_images(run)) if run.provider.phase() == "running" else []
        if left := image.tags(run.host_engine, run.app):
            raise LeftoverError(f"Some images could not be removed: {', '.join(left)}.", f"{INV} rmi")
        return removed

    return run.do.unless_dry(remove)


def _used_images(run: Run) -> set[str]:
    """Return the application's images that pods and workloads use, no matter who created them, except terminating ones."""
    found = [item for kind in ("Pod", "CronJob", *COUNTS) for item in run.kube.list(kind)]
    staying = [item for item in found if not states.terminating(item)]
    names = {image.familiar(container["image"]) for item in staying for container in template.containers(item)}
    return {name for name in names if name.partition(":")[0] in {source.name for source in run.app.sources}}


def clean(run: Run, *, everything: bool, volumes: bool = False) -> bool:
    """Remove service, deployment and images, and the cluster too if `everything`.

    Objects with data (kinds.DATA) stay unless `volumes` or `everything`. Return False if no engine answers and no
    cluster was created from here. Raises LeftoverError, OwnershipError, ClusterError, EngineError.
    """
    if run.do.unless_dry(lambda: _reachable(run)) is False:
        return False
    with run.locked():
        if everything:
            cluster.delete(run)
            remove_images(run)
        else:
            _remove_application(run, _gone("service", "deployment", volumes=volumes))
        run.do.unless_dry(lambda: run.report.say("Clean."))
    return True


def _remove_application(run: Run, gone: frozenset[str]) -> None:
    """Remove what is deployed, and the images: the engine's while pods terminate, unless they may be its containers."""
    if run.provider.shared:
        converge(run, Desired(gone=gone))
        remove_images(run)
        return
    run.do.unless_dry(lambda: image.unused(run.host_engine, run.app))  # refuse before anything is deleted
    converge(run, Desired(gone=gone), meanwhile=lambda: _remove_from_engine(run))
    with run.do.step("Removing the images"):
        _remove_from_nodes(run)


def _reachable(run: Run) -> bool:
    """Return False if no engine answers. Raise EngineError instead if a cluster was created from here."""
    try:
        with suppress(ClusterError):  # a cluster that can only be deleted
            run.provider.phase()
    except AbsentError:
        if run.settings.state_folder.exists():
            raise
        return False
    return True
