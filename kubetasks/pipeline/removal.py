"""Take the application away: service, deployment, images, and all of it."""

from collections.abc import Sequence
from functools import partial

from kubetasks.engine import image
from kubetasks.engine.client import AbsentError
from kubetasks.errors import LeftoverError
from kubetasks.kube import manifests, objects
from kubetasks.kube.client import Object
from kubetasks.kube.service import Address
from kubetasks.pipeline import cluster, probe, seen
from kubetasks.pipeline.run import Run
from kubetasks.project.application import Application
from kubetasks.terminal import wait
from kubetasks.terminal.door import At


def unexpose(run: Run) -> bool:
    """Delete the service and wait until no address answers; False if there was none. Raises OwnershipError, LeftoverError."""
    app, settings = run.app, run.settings
    with run.locked():
        there = run.do.unless_dry(lambda _: _services(run))
        if there == []:
            return False
        known = [address for found in there or () for address in seen.addresses(run, found)]
        with run.do.step("Deleting the service") as at:
            _delete(run, "Service", app.name, at)
        with run.do.step("Waiting until its addresses are closed") as at:
            wait.until_done(
                partial(_closed, app, known),
                LeftoverError,
                "The service was deleted but its address is not closed",
                "./inv status",
                timeout=settings.timeout,
                on_change=at,
                pause=0.1,
            )
        return True


def _services(run: Run) -> list[Object]:
    """Our service, if it is there and a person agrees that it goes. Raises OwnershipError."""
    found = seen.find_service(run) if cluster.runs(run) else None
    if found is None:
        return []
    objects.require_ours(run.kube, {"kind": "Service", **found})
    run.agree([run.app.service])
    return [found]


def _closed(app: Application, known: list[Address]) -> wait.State:
    answering = probe.answering(app, known, probe.CLOSED_SECONDS)
    return wait.Pending(f"{answering[0].url} still answers") if answering else wait.Done()


def undeploy(run: Run, *, volumes: bool = False) -> bool:
    """Delete the deployment and all that was applied with it; False if there was none. Volume claims stay unless `volumes`.

    Raises OwnershipError, LeftoverError.
    """
    with run.locked():
        going, kept = _applied(run, volumes=volumes)
        if kept:
            run.report.say(f"Kept with its data: {', '.join(_named(kept))}. ./inv undeploy --volumes removes it.")
        if not going:
            return False
        run.do.unless_dry(lambda _: run.agree(_named(going)))
        with run.do.step("Deleting the deployment") as at:
            for kind, name in going:
                _delete(run, kind, name, at)
        return True


def _delete(run: Run, kind: str, name: str, at: At) -> None:
    delete = run.kubectl("delete", kind.lower(), name, "--ignore-not-found")
    run.do(delete, lambda _: objects.delete(run.kube, kind, name, run.settings.namespace, run.settings.timeout, at))


def _applied(run: Run, *, volumes: bool) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Kind and name of what goes with the deployment, and of what stays because a person's data is in it."""
    found = run.do.unless_dry(lambda _: seen.applied(run) if cluster.runs(run) else [])
    if found is None:
        own = [one.item for one in reversed(run.manifests) if one.name != run.app.service]
        found = [(item["kind"], item["metadata"]["name"]) for item in own]
    kept = [one for one in found if one[0] == manifests.CLAIM and not volumes]
    return [one for one in found if one not in kept], kept


def _named(found: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{kind.lower()}/{name}" for kind, name in found]


def remove_images(run: Run) -> bool:
    """Remove the application's images from the engine, and from the nodes unless a pod or a deployment uses them.

    False if there were none. Raises LeftoverError if a container of the engine uses one.
    """
    app = run.app
    with run.locked(), run.do.step("Removing the images") as at:
        references = run.do.unless_dry(lambda _: image.unused(run.host_engine, app))
        if references is None:
            references = run.do.known(lambda: run.host_engine.image_tags(app.name), run.image.names)
        if references:
            run.do(["docker", "rmi", "--force", *references], lambda _: image.remove(run.host_engine, references, at))
        else:  # a build that failed has left stages
            run.do.unless_dry(lambda _: image.remove(run.host_engine, [], at))
        removed = run.do.unless_dry(lambda _: _remove_from_nodes(run))
        if left := run.do.unless_dry(lambda _: run.host_engine.image_tags(app.name)):
            raise LeftoverError(f"Images are left: {', '.join(left)}.", "./inv rmi")
        return removed is None or bool(references + removed)


def _remove_from_nodes(run: Run) -> list[str]:
    return run.provider.remove_images(lambda: _used_images(run)) if run.provider.phase() == "running" else []


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


def clean(run: Run, *, everything: bool, volumes: bool = False) -> bool:
    """Remove service, deployment and images, and the cluster too if `everything`; False if nothing can be there.

    Volume claims stay unless `volumes` or `everything`.

    Raises LeftoverError, OwnershipError, ClusterError.
    """
    if run.do.unless_dry(lambda _: _reachable(run)) is False:
        return False
    with run.locked():
        if everything:
            cluster.delete(run)
        else:
            run.do.unless_dry(lambda _: _agree(run, volumes=volumes))
            unexpose(run)
            undeploy(run, volumes=volumes)
        remove_images(run)
        run.do.unless_dry(lambda _: run.report.say("Clean."))
    return True


def _agree(run: Run, *, volumes: bool) -> None:
    """Let a person agree to all that goes, unless something is not ours. Raises OwnershipError."""
    if cluster.runs(run):
        going, _ = _applied(run, volumes=volumes)
        exposed = [run.app.service] if seen.find_service(run) else []
        if exposed or going:
            run.agree([*exposed, *_named(going)])


def _reachable(run: Run) -> bool:
    """Whether there is an engine. Raises EngineError if none answers, although a cluster was created from here."""
    try:
        run.provider.phase()
    except AbsentError:
        if run.settings.state_folder.exists():
            raise
        return False
    return True
