"""The application: built, rolled out, scaled, watched and removed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from typing import Any, NamedTuple

from kubetasks.engine import access, image
from kubetasks.engine.client import AbsentError, Engine
from kubetasks.engine.image import Image
from kubetasks.errors import EngineError, ImageError, LeftoverError, RolloutError, TaskError
from kubetasks.kube import manifests, objects, problems, readiness
from kubetasks.kube.client import ApiError, Object
from kubetasks.pipeline import cluster, rollout, service, state
from kubetasks.pipeline.run import Context, one_at_a_time
from kubetasks.project.application import Application
from kubetasks.project.labels import CLUSTER_LABEL, PROVIDER_LABEL
from kubetasks.project.settings import DEFAULTS
from kubetasks.providers.base import Lifecycle, NodeEngine
from kubetasks.setup import artifacts
from kubetasks.terminal import equivalents, interruption

ABANDON_SECONDS = 3.0
REMOVING = "Removing the images"


def current_image(context: Context) -> Image:
    """The image of the current source, built or not. Raises ImageError."""
    machine = _if_it_answers(context, lambda: context.machine)
    return image.current(context.app, artifacts.base_image(machine, context.settings).reference)


def _if_it_answers(context: Context, connect: Callable[[], Engine]) -> Engine | None:
    """The engine; None under --dry if it does not answer. Raises EngineError."""
    try:
        return connect()
    except EngineError:
        if not context.report.dry:
            raise
        return None


def build(context: Context, made: Image | None = None, abandoned: Callable[[], bool] = lambda: False) -> Image:
    """Build the image of the current source, which `made` is if it is known already. Raises ImageError.

    Once `abandoned` returns True, the build ends at its next line of output. Raises EngineError then.
    """
    report, made = context.report, made or current_image(context)
    found = _if_it_answers(context, lambda: context.engine)
    names = image.our_names(found, made) if found else made.names
    for name in made.names:
        if name not in names:
            report.say(f"{name} was not built by these tasks: it stays as it is.")
    with _ready_for_builds(context):
        if not report.equivalent(equivalents.build(names, made.arguments)):
            return made
        if context.engine.image_id(made.reference):
            image.build(context.engine, made, names, lambda _line: None)
            report.say(f"{made.reference} is already built.")
            return made
        with report.step(f"Building {made.reference}" + (" in the node" if context.node_engine else "")) as step:

            def on_line(text: str) -> None:
                if abandoned():
                    raise EngineError(f"The build of {made.reference} was abandoned.", "./inv build")
                step.at(text)

            image.build(context.engine, made, names, on_line)
    return made


def _ready_for_builds(context: Context) -> AbstractContextManager[None]:
    """Until the end of the block, the engine has what it needs for a build."""
    provider = context.provider
    return provider.building() if isinstance(provider, NodeEngine) and context.node_engine else nullcontext()


def deploy(context: Context) -> Image:
    """Roll out the image of the current source, and return it. The cluster is started first if it does not run.

    Raises ImageError, ClusterError, RolloutError, ExposeError, OwnershipError.
    """
    made = current_image(context)
    if not context.report.dry:
        _require_built(context, made)  # before a cluster is created for nothing
    came_up = cluster.ensure(context)  # then the same pods may not answer yet
    with context.locked():
        if roll_out(context, made) or came_up:
            rollout.wait_until_served(context, made.build)
    return made


def _require_built(context: Context, made: Image) -> None:
    """Raises ImageError if the image is in no engine from which the provider delivers."""
    if isinstance(context.provider, NodeEngine):
        image.require_built([context.engine, context.machine], made)
        return
    node = access.node_of_shell()
    if node and not context.machine.image_id(made.reference):
        raise ImageError(
            f"{made.reference} is not in this machine's engine: this shell's docker uses the engine of node {node}.",
            f"unset {' '.join(access.SHELL_VARIABLES)}; ./inv build",
        )
    image.require_built([context.machine], made)


def roll_out(context: Context, made: Image) -> bool:
    """Deliver the image to the cluster and roll it out; return whether anything changed.

    Raises SettingError, ClusterError, RolloutError, OwnershipError.
    """
    applied = _apply(context, made)
    if not context.report.dry:
        rollout.wait_for_rollout(context, applied.text, applied.delivered)
    return applied.changed


class Applied(NamedTuple):
    """Whether applying changed the deployment, what to show until it is complete, and the image that the nodes were given."""

    changed: bool = False
    text: str = ""
    delivered: str = ""


def _apply(context: Context, made: Image) -> Applied:
    """Deliver the image to the cluster and apply the deployment. Raises SettingError, ClusterError, OwnershipError."""
    app, report, namespace = context.app, context.report, context.settings.namespace
    manifest = manifests.read_one(app, "deployment")
    container = manifests.container_index(manifest, app)
    budget = manifests.owned(manifests.read_one(app, "poddisruptionbudget"), namespace)
    if not report.dry:
        state.require_namespace(context)
        _deployed(context)
        context.agree()
    delivered = context.provider.deliver(made)
    reference, policy = delivered.reference, delivered.pull_policy
    if delivered.through:
        known = context.cluster.registry
        if known is None or known.outside != delivered.through:  # the registry was created anew
            context.cluster = context.provider.cluster()
            cluster.announce_registry(context)
    if not report.equivalent(*equivalents.deploy(app, context.kubectl, reference, container, policy)):
        return Applied()
    deployment = manifests.deployment(manifest, app, reference, policy, namespace)
    with objects.of_file(app.manifests / "poddisruptionbudget.yaml"):
        objects.apply(context.kube, budget)
    with objects.of_file(app.manifests / "deployment.yaml"):
        changed = objects.apply(context.kube, deployment)
    text = f"Rolling out {made.reference}" if changed else f"{made.reference} is deployed"
    return Applied(changed, text, "" if context.provider.shared else reference)  # to others' nodes nothing is delivered


def _deployed(context: Context) -> bool:
    """Whether one of the objects is there. Raises OwnershipError, before anything is changed, if one is not ours."""
    name, namespace = context.app.name, context.settings.namespace
    found = [objects.there(context.kube, kind, name, namespace) for kind in equivalents.ROLLED_OUT]
    return any(found)


@one_at_a_time
def scale(context: Context, replicas: int, build: str = "") -> None:
    """Scale the deployment, and wait until every pod answers or, not exposed, is ready. Raises RolloutError, ExposeError.

    Each must answer with that build id, if one is given.
    """
    changed = _set_replicas(context, replicas)
    if context.report.dry:
        return
    rollout.wait_for_rollout(context, f"Scaling to {replicas}" if changed else f"Already scaled to {replicas}")
    rollout.wait_until_served(context, build)


def _set_replicas(context: Context, replicas: int) -> bool:
    """Return whether that is a change. Raises RolloutError if there is no deployment."""
    if not context.report.equivalent(*equivalents.scale(context.app, context.kubectl, replicas)):
        return False
    state.require_deployment(context)
    context.agree()
    return objects.scale(context.kube, context.app.name, context.settings.namespace, replicas)


@one_at_a_time
def rollback(context: Context) -> None:
    """Roll back to the revision that served before, and wait until its pods answer. Raises RolloutError, ExposeError."""
    app, kubectl = context.app, context.kubectl
    if context.report.dry:
        context.report.equivalent(*equivalents.rollback(app, kubectl))
        return
    deployment = state.require_deployment(context)
    found = state.rollout(context)
    if deployment["spec"].get("paused"):
        paused = problems.of_kind("paused", app.name, kubectl=found.evidence.kubectl)
        raise RolloutError(paused.sentence, paused.hint)
    before = readiness.revision_before(deployment, found.replica_sets)
    if before is None:
        raise RolloutError(f"The deployment {app.name} has no earlier revision.", "./inv build deploy")
    context.report.equivalent(*equivalents.rollback(app, kubectl, before.number))
    context.agree()
    objects.replace_template(context.kube, deployment, before.template)
    rollout.wait_for_rollout(context, f"Rolling back to revision {before.number}")
    rollout.wait_until_served(context)


def logs(context: Context, lines: int) -> Iterator[str]:
    """The last lines of each pod, with the pod's name. Raises ApiError at the end if one could not be read."""
    if not context.report.equivalent(equivalents.logs(context.app, context.kubectl, lines)):
        return
    namespace, refused = context.settings.namespace, None
    for pod in context.kube.list("Pod", namespace, labelSelector=context.app.selector):
        name = pod["metadata"]["name"]
        try:
            text = context.kube.log(namespace, name, _container(pod["spec"], context.app)["name"], lines)
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


def status(context: Context) -> dict[str, Any] | None:
    """The cluster with its condition and Kubernetes, the deployment (or None), pods, addresses, and our other clusters.

    None under --dry. Raises ClusterError if the namespace is missing.
    """
    if not context.report.equivalent(equivalents.status(context.kubectl)):
        return None
    condition = context.provider.condition()
    document: dict[str, Any] = {"cluster": context.provider.name, "state": condition, "kubernetes": "", "deployment": None}
    document |= {"pods": [], "addresses": [], "others": _other_clusters(context)}
    if condition != "running":
        return document
    with suppress(ApiError):  # others may have forbidden it
        document["kubernetes"] = context.kube.version()
    seen = state.rollout(context)
    found, pods, progress = seen.deployment, seen.pods, state.rollout_state(context, seen)
    if found is None:
        state.require_namespace(context)
    else:
        document["deployment"] = {
            "image": _container(found["spec"]["template"]["spec"], context.app)["image"],
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
    exposed = state.find_service(context)
    if exposed:
        document["addresses"] = [one.document() for one in state.addresses(context, exposed)]
    return document


def _other_clusters(context: Context) -> list[dict[str, str]]:
    """Name and provider of our other clusters in the engine; none if this one is not ours, which needs no engine."""
    if not isinstance(context.provider, Lifecycle):
        return []
    default = DEFAULTS["cluster"]["provider"]
    found = [(labels[CLUSTER_LABEL], labels.get(PROVIDER_LABEL, default)) for labels in context.machine.our_clusters()]
    return [{"name": name, "provider": provider} for name, provider in sorted(found) if name != context.provider.name]


@one_at_a_time
def undeploy(context: Context, meanwhile: Callable[[Callable[[str], None]], None] = lambda _at: None) -> bool:
    """Delete the deployment with its pods and its budget; False if there was none. Raises OwnershipError, LeftoverError.

    `meanwhile` is called while the pods end, with what shows where it is.
    """
    app, settings = context.app, context.settings
    if not context.report.equivalent(*equivalents.undeploy(app, context.kubectl)):
        return True
    if not cluster.runs(context) or not _deployed(context):
        return False
    context.agree()
    with context.report.step("Deleting the deployment") as step:
        for kind in equivalents.ROLLED_OUT:
            where = (kind, app.name, settings.namespace)
            pods_end = partial(meanwhile, step.at) if kind == "Deployment" else lambda: None
            objects.delete(context.kube, *where, settings.timeout, step.at, pods_end)
    return True


@one_at_a_time
def remove_images(context: Context) -> bool:
    """Remove the application's images from the engine, and from the nodes unless a pod or a deployment uses them.

    False if there were none. Raises LeftoverError.
    """
    app, report = context.app, context.report
    if report.dry:
        found = _if_it_answers(context, lambda: context.machine)
        references = found.image_tags(app.name) if found else current_image(context).names
        if references:
            report.equivalent(equivalents.remove_images(references))
        return True
    with report.step(REMOVING) as step:
        removed = _remove_images(context, step.at)
    _require_no_images(context)
    return bool(removed.names)


def _require_no_images(context: Context) -> None:
    """Raises LeftoverError if the engine has an image of the application."""
    left = context.machine.image_tags(context.app.name)
    if left:
        raise LeftoverError(f"Images are left: {', '.join(left)}.", "./inv rmi")


class Removed(NamedTuple):
    """The names of the images that were removed, and those that the nodes keep because something uses them."""

    names: list[str]
    used: set[str]


def _remove_images(context: Context, at: Callable[[str], None]) -> Removed:
    """Remove what is not in use. `at` gets each name. Raises LeftoverError if a container of the engine uses one."""
    used: set[str] = set()

    def in_use() -> set[str]:
        used.update(_used_images(context))
        return used

    references = image.unused(context.machine, context.app)
    if references:
        context.report.equivalent(equivalents.remove_images(references))
    image.remove(context.machine, references, at)
    if context.provider.condition() == "running":
        references += context.provider.remove_images(in_use)
    if context.node_engine:
        context.node_engine.remove_dangling()
    return Removed(references, used)


def _used_images(context: Context) -> set[str]:
    """The application's images of all pods and deployments that are not being deleted, whoever created them."""
    pods, deployments = [
        [one for one in context.kube.list(kind) if not one["metadata"].get("deletionTimestamp")] for kind in ("Pod", "Deployment")
    ]
    specs = [pod["spec"] for pod in pods] + [deployment["spec"]["template"]["spec"] for deployment in deployments]
    names = {
        image.familiar(container["image"])
        for spec in specs
        for container in [*spec["containers"], *spec.get("initContainers", [])]
    }
    return {name for name in names if name.startswith(f"{context.app.name}:")}


def clean(context: Context, everything: bool) -> bool:
    """Remove service, deployment and images, and the cluster too if `everything`; False if nothing can be there.

    Raises LeftoverError, OwnershipError, ClusterError.
    """
    if not context.report.dry and not _reachable(context):
        return False
    with context.locked():
        if everything:
            cluster.delete(context)
            remove_images(context)
        else:
            _clean(context)
    return True


def _clean(context: Context) -> None:
    if not context.report.dry and cluster.runs(context):
        _deployed(context)  # refuses what is not ours before the service is deleted
    open_addresses = service.delete(context) or []
    complete = False

    def while_pods_end(at: Callable[[str], None]) -> None:
        nonlocal complete
        service.wait_until_closed(context, open_addresses, at)
        open_addresses.clear()
        with suppress(TaskError):  # raised again by the removal that follows
            complete = not _remove_images(context, at).used  # the cluster may not have got to all pods yet

    undeploy(context, while_pods_end)
    if open_addresses:  # there were no pods
        service.close(context, open_addresses)
    if not complete:
        remove_images(context)
        return
    with context.report.step(REMOVING):
        _require_no_images(context)


def _reachable(context: Context) -> bool:
    """Whether there is an engine. Raises EngineError if none answers, although a cluster was created from here."""
    try:
        context.provider.condition()
    except AbsentError:
        if context.settings.state_folder.exists():
            raise
        return False
    return True


class Up(NamedTuple):
    """The image that is served, and an address that answers."""

    made: Image
    url: str


def up(context: Context) -> Up:
    """Start, build, deploy, expose and scale. Under --dry there is no address.

    Image and cluster are created side by side.
    """
    if context.report.dry:
        cluster.ensure(context)
        made = build(context)
    else:
        made = _side_by_side(context)
    with context.locked():
        if context.report.dry or _deployed(context):  # what serves stays as it is until the image is known to run
            roll_out(context, made)
            service.expose(context)  # also mends a service at which nothing answers
            scale(context, context.settings.replicas, made.build)
        else:
            _deploy_at_once(context, made)
        return Up(made, "" if context.report.dry else state.address(context).url)


def _deploy_at_once(context: Context, made: Image) -> None:
    """Apply everything, and then wait for all of it: nothing serves yet that could suffer from what fails."""
    service.require_applicable(context)
    applied = _apply(context, made)
    exposed = service.apply(context)
    _set_replicas(context, context.settings.replicas)
    rollout.wait_for_rollout(context, applied.text, applied.delivered)
    service.wait_for_addresses(context, exposed)
    rollout.wait_until_served(context, made.build)


def _side_by_side(context: Context) -> Image:
    built: list[Image] = []
    failed: list[BaseException] = []
    over, creating = threading.Event(), threading.Event()

    def work() -> None:
        try:
            built.append(build(context, abandoned=over.is_set))
            if created and not over.is_set():
                created.stage(built[0], over.is_set)
        except BaseException as error:  # noqa: BLE001  raised again in the main thread
            failed.append(error)
            if isinstance(error, TaskError) and creating.is_set() and not over.is_set():  # print now: it can be fixed meanwhile
                context.report.say(str(error.message))

    context.connect()  # once, before there are two threads
    provider = context.provider
    created = provider if isinstance(provider, Lifecycle) and provider.condition() in ("missing", "incomplete") else None
    with context.report.step("Cluster and image"):
        builder = threading.Thread(target=work, daemon=True)  # a daemon, or Ctrl-C would wait for the build
        creating.set()
        builder.start()
        try:
            cluster.ensure(context)  # in this thread: a signal must reach the clean-up of a half-created cluster
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
    context.forget_engine()  # a node that runs now may have one
    return built[0]
