"""Take the application away: service, deployment, images, and all of it."""

from collections.abc import Sequence
from functools import partial

from kubetasks.engine import image
from kubetasks.engine.client import AbsentError
from kubetasks.errors import LeftoverError
from kubetasks.kube import manifests, objects
from kubetasks.kube.service import Address
from kubetasks.pipeline import cluster, probe, seen
from kubetasks.pipeline.run import Run
from kubetasks.project.application import Application
from kubetasks.terminal import equivalents, wait


def unexpose(run: Run) -> bool:
    """Delete the service and wait until no address answers; False if there was none. Raises OwnershipError, LeftoverError."""
    app, settings = run.app, run.settings
    with run.locked():
        if not run.report.equivalent(equivalents.kubectl(run.kubectl, "delete", "service", app.name)):
            return True
        found = seen.find_service(run) if cluster.runs(run) else None
        if found is None:
            return False
        objects.require_ours(run.kube, {"kind": "Service", **found})
        run.agree([app.service])
        known = seen.addresses(run, found)
        with run.report.step("Deleting the service") as step:
            objects.delete(run.kube, "Service", app.name, settings.namespace, settings.timeout, step.at)
        with run.report.step("Waiting until its addresses are closed") as step:
            wait.until_done(
                partial(_closed, app, known),
                LeftoverError,
                "The service was deleted but its address is not closed",
                "./inv status",
                timeout=settings.timeout,
                on_change=step.at,
                pause=0.1,
            )
        return True


def _closed(app: Application, known: list[Address]) -> wait.State:
    answering = probe.answering(app, known, probe.CLOSED_SECONDS)
    return wait.Pending(f"{answering[0].url} still answers") if answering else wait.Done()


def undeploy(run: Run, *, volumes: bool = False) -> bool:
    """Delete the deployment and all that was applied with it; False if there was none. Volume claims stay unless `volumes`.

    Raises OwnershipError, LeftoverError.
    """
    settings = run.settings
    with run.locked():
        if not run.report.dry and not cluster.runs(run):
            return False
        going, kept = _applied(run, volumes=volumes)
        if kept:
            run.report.say(f"Kept with its data: {', '.join(_named(kept))}. ./inv undeploy --volumes removes it.")
        run.report.equivalent(*(equivalents.delete(run.kubectl, kind.lower(), name) for kind, name in going))
        if run.report.dry or not going:
            return bool(going)
        run.agree(_named(going))
        with run.report.step("Deleting the deployment") as step:
            for kind, name in going:
                objects.delete(run.kube, kind, name, settings.namespace, settings.timeout, step.at)
        return True


def _applied(run: Run, *, volumes: bool) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Kind and name of what goes with the deployment, and of what stays because a person's data is in it."""
    if run.report.dry:
        own = [one.item for one in reversed(run.manifests) if one.name != run.app.service]
        found = [(item["kind"], item["metadata"]["name"]) for item in own]
    else:
        found = seen.applied(run)
    kept = [one for one in found if one[0] == manifests.CLAIM and not volumes]
    return [one for one in found if one not in kept], kept


def _named(found: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{kind.lower()}/{name}" for kind, name in found]


def remove_images(run: Run) -> bool:
    """Remove the application's images from the engine, and from the nodes unless a pod or a deployment uses them.

    False if there were none. Raises LeftoverError if a container of the engine uses one.
    """
    app, report, provider = run.app, run.report, run.provider
    if report.dry:
        found = run.if_it_answers(lambda: run.host_engine)
        references = found.image_tags(app.name) if found else run.image.names
        if references:
            report.equivalent(equivalents.remove_images(references))
        return True
    with run.locked():
        with report.step("Removing the images") as step:
            references = image.unused(run.host_engine, app)
            if references:
                report.equivalent(equivalents.remove_images(references))
            image.remove(run.host_engine, references, step.at)
            if provider.phase() == "running":
                references += provider.remove_images(lambda: _used_images(run))
        left = run.host_engine.image_tags(app.name)
        if left:
            raise LeftoverError(f"Images are left: {', '.join(left)}.", "./inv rmi")
        return bool(references)


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
    if not run.report.dry and not _reachable(run):
        return False
    with run.locked():
        if everything:
            cluster.delete(run)
            remove_images(run)
        else:
            if not run.report.dry and cluster.runs(run):
                going, _ = _applied(run, volumes=volumes)  # refuses what is not ours before the service is deleted
                exposed = [run.app.service] if seen.find_service(run) else []
                if exposed or going:
                    run.agree([*exposed, *_named(going)])
            unexpose(run)
            undeploy(run, volumes=volumes)
            remove_images(run)
    return True


def _reachable(run: Run) -> bool:
    """Whether there is an engine. Raises EngineError if none answers, although a cluster was created from here."""
    try:
        run.provider.phase()
    except AbsentError:
        if run.settings.state_folder.exists():
            raise
        return False
    return True
