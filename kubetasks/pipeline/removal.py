"""Take the application away: service, deployment, images, and all of it."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from kubetasks.engine import image
from kubetasks.engine.client import AbsentError
from kubetasks.errors import LeftoverError, TaskError
from kubetasks.kube import objects
from kubetasks.kube.service import Address
from kubetasks.pipeline import cluster, probe, seen
from kubetasks.pipeline.run import Run, one_at_a_time
from kubetasks.terminal import equivalents, wait

REMOVING = "Removing the images"


@one_at_a_time
def unexpose(run: Run) -> bool:
    """Delete the service and wait until no address answers; False if there was none. Raises OwnershipError, LeftoverError."""
    known = _delete_service(run)
    if known:
        _close(run, known)
    return known is not None


def _delete_service(run: Run) -> list[Address] | None:
    """Delete the service; return the addresses that it had, or None if there was none. Raises OwnershipError, LeftoverError."""
    app, settings = run.app, run.settings
    if not run.report.equivalent(equivalents.unexpose(app, run.kubectl)):
        return []
    found = seen.find_service(run) if cluster.runs(run) else None
    if found is None:
        return None
    objects.require_ours(run.kube, {"kind": "Service", **found})
    run.agree()
    known = seen.addresses(run, found)
    with run.report.step("Deleting the service") as step:
        objects.delete(run.kube, "Service", app.name, settings.namespace, settings.timeout, step.at)
    return known


def _close(run: Run, known: list[Address]) -> None:
    """Show that the addresses of a deleted service are closed. Raises LeftoverError."""
    with run.report.step("Waiting until its addresses are closed") as step:
        _wait_until_closed(run, known, step.at)


def _wait_until_closed(run: Run, known: list[Address], at: Callable[[str], None]) -> None:
    """Wait until none of the addresses of a deleted service answers. `at` gets what is missing. Raises LeftoverError."""

    def check() -> wait.State:
        answering = probe.answering(run.app, known, probe.CLOSED_SECONDS)
        return wait.Pending(f"{answering[0].url} still answers") if answering else wait.Done()

    wait.until_done(
        check,
        LeftoverError,
        "The service was deleted but its address is not closed",
        "./inv status",
        timeout=run.settings.timeout,
        on_change=at,
        longest_pause=0.1,
    )


@one_at_a_time
def undeploy(run: Run, meanwhile: Callable[[Callable[[str], None]], None] = lambda _at: None) -> bool:
    """Delete the deployment with its pods and its budget; False if there was none. Raises OwnershipError, LeftoverError.

    `meanwhile` is called while the pods end, with what shows where it is.
    """
    app, settings = run.app, run.settings
    if not run.report.equivalent(*equivalents.undeploy(app, run.kubectl)):
        return True
    if not cluster.runs(run) or not seen.deployed(run):
        return False
    run.agree()
    with run.report.step("Deleting the deployment") as step:
        for kind in seen.ROLLED_OUT:
            where = (kind, app.name, settings.namespace)
            pods_end = partial(meanwhile, step.at) if kind == "Deployment" else lambda: None
            objects.delete(run.kube, *where, settings.timeout, step.at, pods_end)
    return True


@one_at_a_time
def remove_images(run: Run) -> bool:
    """Remove the application's images from the engine, and from the nodes unless a pod or a deployment uses them.

    False if there were none. Raises LeftoverError.
    """
    app, report = run.app, run.report
    if report.dry:
        found = run.if_it_answers(lambda: run.machine)
        references = found.image_tags(app.name) if found else run.image.names
        if references:
            report.equivalent(equivalents.remove_images(references))
        return True
    with report.step(REMOVING) as step:
        removed = _remove_images(run, step.at)
    _require_no_images(run)
    return bool(removed.names)


def _require_no_images(run: Run) -> None:
    """Raises LeftoverError if the engine has an image of the application."""
    left = run.machine.image_tags(run.app.name)
    if left:
        raise LeftoverError(f"Images are left: {', '.join(left)}.", "./inv rmi")


class Removed(NamedTuple):
    """The names of the images that were removed, and those that the nodes keep because something uses them."""

    names: list[str]
    used: set[str]


def _remove_images(run: Run, at: Callable[[str], None]) -> Removed:
    """Remove what is not in use. `at` gets each name. Raises LeftoverError if a container of the engine uses one."""
    used: set[str] = set()

    def in_use() -> set[str]:
        used.update(_used_images(run))
        return used

    references = image.unused(run.machine, run.app)
    if references:
        run.report.equivalent(equivalents.remove_images(references))
    image.remove(run.machine, references, at)
    if run.provider.phase() == "running":
        references += run.provider.remove_images(in_use)
    if run.node_engine:
        run.node_engine.remove_dangling()
    return Removed(references, used)


def _used_images(run: Run) -> set[str]:
    """The application's images of all pods and deployments that are not being deleted, whoever created them."""
    pods, deployments = [
        [one for one in run.kube.list(kind) if not one["metadata"].get("deletionTimestamp")] for kind in ("Pod", "Deployment")
    ]
    specs = [pod["spec"] for pod in pods] + [deployment["spec"]["template"]["spec"] for deployment in deployments]
    names = {
        image.familiar(container["image"])
        for spec in specs
        for container in [*spec["containers"], *spec.get("initContainers", [])]
    }
    return {name for name in names if name.startswith(f"{run.app.name}:")}


def clean(run: Run, everything: bool) -> bool:
    """Remove service, deployment and images, and the cluster too if `everything`; False if nothing can be there.

    Raises LeftoverError, OwnershipError, ClusterError.
    """
    if not run.report.dry and not _reachable(run):
        return False
    with run.locked():
        if everything:
            cluster.delete(run)
            remove_images(run)
        else:
            _clean(run)
    return True


def _clean(run: Run) -> None:
    if not run.report.dry and cluster.runs(run):
        seen.deployed(run)  # refuses what is not ours before the service is deleted
    open_addresses = _delete_service(run) or []
    complete = False

    def while_pods_end(at: Callable[[str], None]) -> None:
        nonlocal complete
        _wait_until_closed(run, open_addresses, at)
        open_addresses.clear()
        with suppress(TaskError):  # raised again by the removal that follows
            complete = not _remove_images(run, at).used  # the cluster may not have got to all pods yet

    undeploy(run, while_pods_end)
    if open_addresses:  # there were no pods
        _close(run, open_addresses)
    if not complete:
        remove_images(run)
        return
    with run.report.step(REMOVING):
        _require_no_images(run)


def _reachable(run: Run) -> bool:
    """Whether there is an engine. Raises EngineError if none answers, although a cluster was created from here."""
    try:
        run.provider.phase()
    except AbsentError:
        if run.settings.state_folder.exists():
            raise
        return False
    return True
