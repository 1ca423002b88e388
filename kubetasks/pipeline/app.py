"""The application: built, rolled out, scaled, watched and removed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, NamedTuple

from kubetasks.engine import access, image
from kubetasks.engine.client import AbsentError
from kubetasks.engine.image import Image
from kubetasks.errors import EngineError, ImageError, LeftoverError, RolloutError, TaskError
from kubetasks.kube import manifests, objects, problems, readiness
from kubetasks.kube.client import ApiError, Object
from kubetasks.pipeline import cluster, rollout, service, state
from kubetasks.pipeline.run import Run, one_at_a_time
from kubetasks.project.application import Application
from kubetasks.project.settings import DEFAULTS
from kubetasks.providers.base import Lifecycle, NodeEngine
from kubetasks.terminal import equivalents, interruption

ABANDON_SECONDS = 3.0
REMOVING = "Removing the images"


def build(run: Run, abandoned: Callable[[], bool] = lambda: False) -> Image:
    """Build the image of the current source. Raises ImageError.

    Once `abandoned` returns True, the build ends at its next line of output. Raises EngineError then.
    """
    report, made = run.report, run.image
    found = run.if_it_answers(lambda: run.engine)
    names = image.our_names(found, made) if found else made.names
    for name in made.names:
        if name not in names:
            report.say(f"{name} was not built by these tasks: it stays as it is.")
    with _ready_for_builds(run):
        if not report.equivalent(equivalents.build(names, made.arguments)):
            return made
        if run.engine.image_id(made.reference):
            image.build(run.engine, made, names, lambda _line: None)
            report.say(f"{made.reference} is already built.")
            return made
        with report.step(f"Building {made.reference}" + (" in the node" if run.node_engine else "")) as step:

            def on_line(text: str) -> None:
                if abandoned():
                    raise EngineError(f"The build of {made.reference} was abandoned.", "./inv build")
                step.at(text)

            image.build(run.engine, made, names, on_line)
    return made


def _ready_for_builds(run: Run) -> AbstractContextManager[None]:
    """Until the end of the block, the engine has what it needs for a build."""
    provider = run.provider
    return provider.building() if isinstance(provider, NodeEngine) and run.node_engine else nullcontext()


def deploy(run: Run) -> Image:
    """Roll out the image of the current source, and return it. The cluster is started first if it does not run.

    Raises ImageError, ClusterError, RolloutError, ExposeError, OwnershipError.
    """
    made = run.image
    if not run.report.dry:
        _require_built(run, made)  # before a cluster is created for nothing
    came_up = cluster.ensure(run)  # then the same pods may not answer yet
    with run.locked():
        if roll_out(run, made) or came_up:
            rollout.wait_until_served(run, made.build)
    return made


def _require_built(run: Run, made: Image) -> None:
    """Raises ImageError if the image is in no engine from which the provider delivers."""
    if isinstance(run.provider, NodeEngine):
        image.require_built([run.engine, run.machine], made)
        return
    node = access.node_of_shell()
    if node and not run.machine.image_id(made.reference):
        raise ImageError(
            f"{made.reference} is not in this machine's engine: this shell's docker uses the engine of node {node}.",
            f"unset {' '.join(access.SHELL_VARIABLES)}; ./inv build",
        )
    image.require_built([run.machine], made)


def roll_out(run: Run, made: Image) -> bool:
    """Deliver the image to the cluster and roll it out; return whether anything changed.

    Raises SettingError, ClusterError, RolloutError, OwnershipError.
    """
    applied = _apply(run, made)
    if not run.report.dry:
        rollout.wait_for_rollout(run, applied.text, applied.delivered)
    return applied.changed


class Applied(NamedTuple):
    """Whether applying changed the deployment, what to show until it is complete, and the image that the nodes were given."""

    changed: bool = False
    text: str = ""
    delivered: str = ""


def _apply(run: Run, made: Image) -> Applied:
    """Deliver the image to the cluster and apply the deployment. Raises SettingError, ClusterError, OwnershipError."""
    app, report, namespace = run.app, run.report, run.settings.namespace
    manifest = manifests.read_one(app, "deployment")
    container = manifests.container_index(manifest, app)
    budget = manifests.owned(manifests.read_one(app, "poddisruptionbudget"), app.owner, namespace)
    if not report.dry:
        state.require_namespace(run)
        _deployed(run)
        run.agree()
    goes_on = report.show(lambda: run.provider.deliver_lines(made))
    delivered = run.provider.deliver(made) if goes_on else run.provider.delivered(made)
    reference, policy = delivered.reference, delivered.pull_policy
    if not report.equivalent(*equivalents.deploy(app, run.kubectl, reference, container, policy)):
        return Applied()
    deployment = manifests.deployment(manifest, app, reference, policy, namespace)
    with objects.of_file(app.manifests / "poddisruptionbudget.yaml"):
        objects.apply(run.kube, budget)
    with objects.of_file(app.manifests / "deployment.yaml"):
        changed = objects.apply(run.kube, deployment)
    text = f"Rolling out {made.reference}" if changed else f"{made.reference} is deployed"
    return Applied(changed, text, "" if run.provider.shared else reference)  # to others' nodes nothing is delivered


def _deployed(run: Run) -> bool:
    """Whether one of the objects is there. Raises OwnershipError, before anything is changed, if one is not ours."""
    name, namespace = run.app.name, run.settings.namespace
    found = [objects.there(run.kube, kind, name, namespace) for kind in equivalents.ROLLED_OUT]
    return any(found)


@one_at_a_time
def scale(run: Run, replicas: int, build: str = "") -> None:
    """Scale the deployment, and wait until every pod answers or, not exposed, is ready. Raises RolloutError, ExposeError.

    Each must answer with that build id, if one is given.
    """
    changed = _set_replicas(run, replicas)
    if run.report.dry:
        return
    rollout.wait_for_rollout(run, f"Scaling to {replicas}" if changed else f"Already scaled to {replicas}")
    rollout.wait_until_served(run, build)


def _set_replicas(run: Run, replicas: int) -> bool:
    """Return whether that is a change. Raises RolloutError if there is no deployment."""
    if not run.report.equivalent(*equivalents.scale(run.app, run.kubectl, replicas)):
        return False
    state.require_deployment(run)
    run.agree()
    return objects.scale(run.kube, run.app.name, run.settings.namespace, replicas)


@one_at_a_time
def rollback(run: Run) -> None:
    """Roll back to the revision that served before, and wait until its pods answer. Raises RolloutError, ExposeError."""
    app, kubectl = run.app, run.kubectl
    if run.report.dry:
        run.report.equivalent(*equivalents.rollback(app, kubectl))
        return
    deployment = state.require_deployment(run)
    found = state.rollout(run)
    if deployment["spec"].get("paused"):
        paused = problems.of_kind("paused", app.name, kubectl=found.evidence.kubectl)
        raise RolloutError(paused.sentence, paused.hint)
    before = readiness.revision_before(deployment, found.replica_sets)
    if before is None:
        raise RolloutError(f"The deployment {app.name} has no earlier revision.", "./inv build deploy")
    run.report.equivalent(*equivalents.rollback(app, kubectl, before.number))
    run.agree()
    objects.replace_template(run.kube, deployment, before.template)
    rollout.wait_for_rollout(run, f"Rolling back to revision {before.number}")
    rollout.wait_until_served(run)


def logs(run: Run, lines: int) -> Iterator[str]:
    """The last lines of each pod, with the pod's name. Raises ApiError at the end if one could not be read."""
    if not run.report.equivalent(equivalents.logs(run.app, run.kubectl, lines)):
        return
    namespace, refused = run.settings.namespace, None
    for pod in run.kube.list("Pod", namespace, labelSelector=run.app.selector):
        name = pod["metadata"]["name"]
        try:
            text = run.kube.log(namespace, name, _container(pod["spec"], run.app)["name"], lines)
        except ApiError as error:  # its node may be away
            refused = error
            continue
        yield from (f"[{name}] {line}" for line in text.splitlines())
    if refused:
        raise refused


def _container(spec: Object, app: Application) -> Object:
    """The application's container in the specification of a pod, or the first one if somebody else made it."""
    containers: list[Object] = spec["containers"]
    return next((one for one in containers if one["name"] == app.name), containers[0])


def status(run: Run) -> dict[str, Any] | None:
    """The cluster with its condition and Kubernetes, the deployment (or None), pods, addresses, and our other clusters.

    None under --dry. Raises ClusterError if the namespace is missing.
    """
    if not run.report.equivalent(equivalents.status(run.kubectl)):
        return None
    condition = run.provider.condition()
    document: dict[str, Any] = {"cluster": run.provider.name, "state": condition, "kubernetes": "", "deployment": None}
    document |= {"pods": [], "addresses": [], "others": _other_clusters(run)}
    if condition != "running":
        return document
    with suppress(ApiError):  # others may have forbidden it
        document["kubernetes"] = run.kube.version()
    seen = state.rollout(run)
    found, pods, progress = seen.deployment, seen.pods, state.rollout_state(run, seen)
    if found is None:
        state.require_namespace(run)
    else:
        document["deployment"] = {
            "image": _container(found["spec"]["template"]["spec"], run.app)["image"],
            "replicas": readiness.replicas(found),
            "ready": sum(map(readiness.pod_ready, readiness.newest_pods(found, seen.replica_sets, pods))),
            "state": getattr(progress, "detail", None) or getattr(progress, "reason", ""),
        }
    document["pods"] = [
        {
            "name": pod["metadata"]["name"],
            "ready": readiness.pod_ready(pod),
            "state": readiness.pod_phase(pod),
            "restarts": sum(one["restartCount"] for one in pod["status"].get("containerStatuses", [])),
        }
        for pod in pods
    ]
    exposed = state.find_service(run)
    if exposed:
        document["addresses"] = [one.document() for one in state.addresses(run, exposed)]
    return document


def _other_clusters(run: Run) -> list[dict[str, str]]:
    """Name and provider of our other clusters in the engine; none if this one is not ours, which needs no engine."""
    if not isinstance(run.provider, Lifecycle):
        return []
    default = DEFAULTS["cluster"]["provider"]
    found = run.machine.our_clusters()
    return [{"name": name, "provider": provider or default} for name, provider in found if name != run.provider.name]


@one_at_a_time
def undeploy(run: Run, meanwhile: Callable[[Callable[[str], None]], None] = lambda _at: None) -> bool:
    """Delete the deployment with its pods and its budget; False if there was none. Raises OwnershipError, LeftoverError.

    `meanwhile` is called while the pods end, with what shows where it is.
    """
    app, settings = run.app, run.settings
    if not run.report.equivalent(*equivalents.undeploy(app, run.kubectl)):
        return True
    if not cluster.runs(run) or not _deployed(run):
        return False
    run.agree()
    with run.report.step("Deleting the deployment") as step:
        for kind in equivalents.ROLLED_OUT:
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
    if run.provider.condition() == "running":
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
        _deployed(run)  # refuses what is not ours before the service is deleted
    open_addresses = service.delete(run) or []
    complete = False

    def while_pods_end(at: Callable[[str], None]) -> None:
        nonlocal complete
        service.wait_until_closed(run, open_addresses, at)
        open_addresses.clear()
        with suppress(TaskError):  # raised again by the removal that follows
            complete = not _remove_images(run, at).used  # the cluster may not have got to all pods yet

    undeploy(run, while_pods_end)
    if open_addresses:  # there were no pods
        service.close(run, open_addresses)
    if not complete:
        remove_images(run)
        return
    with run.report.step(REMOVING):
        _require_no_images(run)


def _reachable(run: Run) -> bool:
    """Whether there is an engine. Raises EngineError if none answers, although a cluster was created from here."""
    try:
        run.provider.condition()
    except AbsentError:
        if run.settings.state_folder.exists():
            raise
        return False
    return True


class Up(NamedTuple):
    """The image that is served, and an address that answers."""

    made: Image
    url: str


def up(run: Run) -> Up:
    """Start, build, deploy, expose and scale. Under --dry there is no address.

    Image and cluster are created side by side.
    """
    if run.report.dry:
        cluster.ensure(run)
        made = build(run)
    else:
        made = _side_by_side(run)
    with run.locked():
        if run.report.dry or _deployed(run):  # what serves stays as it is until the image is known to run
            roll_out(run, made)
            service.expose(run)  # also mends a service at which nothing answers
            scale(run, run.settings.replicas, made.build)
        else:
            _deploy_at_once(run, made)
        return Up(made, "" if run.report.dry else state.address(run).url)


def _deploy_at_once(run: Run, made: Image) -> None:
    """Apply everything, and then wait for all of it: nothing serves yet that could suffer from what fails."""
    service.require_applicable(run)
    applied = _apply(run, made)
    exposed = service.apply(run)
    _set_replicas(run, run.settings.replicas)
    rollout.wait_for_rollout(run, applied.text, applied.delivered)
    service.wait_for_addresses(run, exposed)
    rollout.wait_until_served(run, made.build)


def _side_by_side(run: Run) -> Image:
    built: list[Image] = []
    failed: list[BaseException] = []
    over, creating = threading.Event(), threading.Event()

    def work() -> None:
        try:
            built.append(build(run, abandoned=over.is_set))
            if created and not over.is_set():
                created.preload(built[0], over.is_set)
        except BaseException as error:  # noqa: BLE001  raised again in the main thread
            failed.append(error)
            if isinstance(error, TaskError) and creating.is_set() and not over.is_set():  # print now: it can be fixed meanwhile
                run.report.say(str(error.message))

    # each is made once, before there are two threads
    provider, _ = run.provider, run.engine
    created = provider if isinstance(provider, Lifecycle) and provider.condition() in ("missing", "incomplete") else None
    with run.report.step("Cluster and image"):
        builder = threading.Thread(target=work, daemon=True)  # a daemon, or Ctrl-C would wait for the build
        creating.set()
        builder.start()
        try:
            cluster.ensure(run)  # in this thread: a signal must reach the clean-up of a half-created cluster
            creating.clear()
            builder.join()
        except BaseException:
            over.set()
            builder.join(ABANDON_SECONDS)  # or its image would come after a clean-up that follows
            if builder.is_alive() and interruption.terminate_all():
                builder.join(ABANDON_SECONDS)
            raise
        if failed:
            raise failed[0]
    run.forget("engine")  # a node that runs now may have one
    return built[0]
