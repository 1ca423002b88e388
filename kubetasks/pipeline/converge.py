"""The one way to change the application in a cluster: look, refuse, confirm, apply, wait and judge, in this order."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from kubetasks.errors import ExposeError, RolloutError, SettingError, TaskError
from kubetasks.kube import client, kinds, manifests, objects, problems, readiness, service
from kubetasks.kube.client import ApiError, Object, UnservedError, describe
from kubetasks.kube.manifests import Manifest
from kubetasks.kube.readiness import Revision
from kubetasks.kube.service import Address
from kubetasks.pipeline import candidates, desired, waits
from kubetasks.pipeline.desired import Desired, Part, Place
from kubetasks.pipeline.run import Run
from kubetasks.project.words import INV, INVOKE
from kubetasks.terminal.door import At

TAKEN = "port is already allocated"  # the API server's words if a service has the node port
UNKNOWN_FIELD = "typed patch object"  # its words, with status 500, for a field that the kind lacks
INVALID = (400, 422)  # the API server's status codes for an invalid object

Serve = Literal["if changed", "always"]  # when to wait until the pods answer


@dataclass(frozen=True)
class Found:
    """The state before a change: the existing objects by name, the names of those to be replaced and of the cluster-scoped ones,
    the revision to roll each deployment back to, and the deployments that are not rolled back; or the objects to delete, and the
    addresses of the service if it is one of them.
    """

    existing: Mapping[str, Object] = field(default_factory=dict)
    replaced: Collection[str] = ()
    wide: Sequence[str] = ()
    before: Mapping[str, Revision] = field(default_factory=dict)
    staying: Sequence[str] = ()
    going: Sequence[Object] = ()
    closing: Sequence[Address] = ()


@dataclass(frozen=True)
class Changed:
    """The result of a change: the addresses that answer, if a service is wanted; how many pods have answered; and whether
    anything was deleted.
    """

    addresses: Sequence[Address]
    served: int
    deleted: bool


def converge(
    run: Run,
    wanted: Desired,
    build: str = "",
    serve: Serve = "if changed",
    meanwhile: Callable[[], object] = lambda: None,
) -> Changed:
    """Apply what is wanted stage by stage, or delete what is to be gone, and wait until it is done.

    Everything that can be refused is refused before anything is changed. At the end, depending on `serve`, wait until every pod
    answers, with that build id if one is given. `meanwhile` is called as soon as the deletion has started.

    Raises SettingError, ClusterError, OwnershipError, RolloutError with a diagnosis, ExposeError, LeftoverError.
    """
    provider = run.provider
    place = Place({image.source.name: provider.delivered(image) for image in wanted.images}, provider.node_port)
    ours = run.manifests if wanted.images or wanted.exposed else []
    parts = desired.parts(run.app, ours, wanted, replace(place, node_port=None))  # whether the port is free is checked below
    with run.locked():
        looked = run.do.unless_dry(lambda: _look(run, wanted, parts))
        found = looked or _expected(run, wanted, parts)
        deployed = looked is None or run.app.deployment in looked.existing
        kept = [item for item in found.going if item["kind"] in kinds.DATA and "volumes" not in wanted.gone]
        if kept:
            run.report.say(f"Kept with its data: {', '.join(map(describe, kept))}. {INV} undeploy --volumes removes it.")
            found = replace(found, going=[item for item in found.going if item not in kept])
        if found.staying:
            run.report.say(f"Not rolled back: {', '.join(found.staying)} (no earlier revision has ready pods).")
        if found.going or not wanted.gone:
            run.do.unless_dry(lambda: run.agree(list(map(describe, found.going)), found.wide))
        if wanted.images:
            place = replace(place, delivered={image.source.name: provider.deliver(image) for image in wanted.images})
            provider.supply(manifests.other_images(ours, run.app))
        if wanted.exposed:
            place = run.do.unless_dry(lambda: replace(place, node_port=_free_node_port(run))) or place
        changed, addresses = set[str](), list[Address]()
        for stage in wanted.stages(deployed=deployed):
            stage_place = replace(place, delivered=place.delivered if stage.images else {})
            done, awaited = _apply(run, ours, stage, stage_place, found)
            changed |= done
            if stage.rolls_out:
                # nothing is loaded into the nodes of an existing cluster
                given = [] if provider.shared else [image.reference for image in stage_place.delivered.values()]
                waits.wait_until_ready(run, _text(stage, found, done - {run.app.service}), awaited, given)
            if stage.exposed:
                service_changed, before = run.app.service in done, run.app.service in found.existing
                answering = partial(waits.wait_for_addresses, run, changed=service_changed, before=before)
                addresses += run.do.unless_dry(answering) or []
        if wanted.gone:
            _delete(run, found, meanwhile)
        served = 0
        if serve == "always" or (serve == "if changed" and wanted.rolls_out and changed - {run.app.service}):
            served = run.do.unless_dry(lambda: waits.wait_until_served(run, build)) or 0
        return Changed(addresses, served, bool(found.going))


def _look(run: Run, wanted: Desired, parts: Sequence[Part]) -> Found:
    """Look at the cluster. Raises ClusterError, OwnershipError, RolloutError, SettingError if anything forbids the change."""
    if wanted.gone:
        going = candidates.found(run, wanted)
        return Found(going=going, closing=run.seen.addresses if run.app.service in map(describe, going) else [])
    seen, existing, replaced, wide = run.seen, dict[str, Object](), list[str](), list[str]()
    if not wanted.images:
        existing[run.app.deployment] = seen.require_deployment()
    elif seen.deployment is None:
        seen.require_namespace()
    defined = {manifests.defined(part.manifest.item) for part in parts}
    for part in parts:
        name, item = part.manifest.name, desired.item_of(part, run.app)
        if (item["apiVersion"].rpartition("/")[0], item["kind"]) in defined:
            continue  # its kind is not served yet, or still by an earlier definition
        with _naming_manifest(run, part):
            placed = run.kube.in_namespace(item, run.settings.namespace)
            present = seen.read_owned(placed)
            if objects.rehearse(run.kube, placed, present):
                replaced.append(name)
        if present:
            existing[name] = present
        if "namespace" not in placed["metadata"]:
            wide.append(name)
    return Found(existing, replaced, wide, *(_revisions_before(run, existing) if wanted.back else ()))


def _expected(run: Run, wanted: Desired, parts: Sequence[Part]) -> Found:
    """Return the state to expect under --dry."""
    replaced = [part.manifest.name for part in parts if part.manifest.item["kind"] in kinds.RUN_ONCE]
    return Found(replaced=replaced, going=candidates.expected(run, wanted))


@contextmanager
def _naming_manifest(run: Run, part: Part) -> Iterator[None]:
    """Raise SettingError, with the manifest's name, if an object in the block is invalid or its kind is not served."""
    try:
        yield
    except (ApiError, UnservedError) as error:
        if isinstance(error, ApiError) and (
            TAKEN in error.sentence or (error.status not in INVALID and UNKNOWN_FIELD not in error.sentence)
        ):
            raise
        where = part.manifest.file or f"{run.app.manifests or 'The generated manifests'}: {part.manifest.name}"
        raise SettingError(f"{where}: {error.sentence}", "Fix the file, then run the task again") from error


def _revisions_before(run: Run, existing: dict[str, Object]) -> tuple[dict[str, Revision], list[str]]:
    """Return the revision to roll each deployment back to, and the names of the deployments that are not rolled back.

    Choose the deployments whose earlier revision still has ready pods; if there are none, the application's own, or all if that
    has no earlier revision. Add the live deployments to `existing`. Raises RolloutError, OwnershipError.
    """
    own, known = run.app.deployment, dict[str, Revision]()
    for item in (existing[own], *(item for item in run.others if item["kind"] == "Deployment")):
        name, rollout = describe(item), run.seen.rollout_of(item)
        before, live = readiness.revision_before(rollout), rollout.workload
        if live is None:
            continue
        objects.require_ours(run.kube, live)
        if live["spec"].get("paused") and (name == own or (before and before.serving)):
            paused = problems.of_kind("paused", name.partition("/")[2], kubectl=run.seen.rollout.evidence.kubectl)
            raise RolloutError(paused.sentence, paused.hint)
        if before:
            known[name], existing[name] = before, live
    if not known:
        raise RolloutError(f"The deployment {run.app.name} has no earlier revision.", f"Fix the source, then {INV} build deploy")
    serving = {name: before for name, before in known.items() if before.serving}
    chosen = serving or ({own: known[own]} if own in known else known)
    return chosen, [name for name in known if name not in chosen]


def _text(stage: Desired, found: Found, changed: set[str]) -> str:
    """Return the text to show until the rollout is complete."""
    named = [f"{name} to revision {before.number}" for name, before in found.before.items()]
    return f"Rolling back {', '.join(named)}" if named else stage.text(bool(changed))


def _apply(run: Run, ours: Sequence[Manifest], wanted: Desired, place: Place, found: Found) -> tuple[set[str], list[Object]]:
    """Apply the objects, then scale or roll back; return the names of what changed, and the objects to wait for.

    Wait until definitions are established before the objects that follow them are applied.
    """
    changed, awaited, defining = set[str](), list[Object](), list[Object]()
    for part in desired.parts(run.app, ours, wanted, place):
        name, defines = part.manifest.name, part.manifest.item["kind"] == kinds.DEFINITION
        if defining and not defines:
            waits.wait_until_ready(run, f"Waiting for {describe(defining[0])}", defining)
            defining = []
        try:
            with _naming_manifest(run, part):
                done, item = _apply_one(run, part, found)
        except ApiError as error:
            if place.node_port is None or TAKEN not in error.sentence:
                raise
            _free_node_port(run)  # another service took the port meanwhile: say which
            more, awaited = _apply(run, ours, wanted, replace(place, node_port=None), found)
            return changed | more, awaited
        changed |= {name} if done else set()
        if defines:
            defining.append(item)
        elif name != run.app.service and readiness.awaited(item):
            awaited.append(item)
    if wanted.replicas is not None and _scale(run, wanted.replicas):
        changed.add("replicas")
    if wanted.back:
        awaited = _roll_back(run, found)
        changed |= set(map(describe, awaited))
    return changed, awaited or [client.reference("Deployment", run.app.name)]


def _apply_one(run: Run, part: Part, found: Found) -> tuple[bool, Object]:
    """Apply a part; return whether that changed anything, and the object as it is now."""
    name, item = part.manifest.name, desired.item_of(part, run.app)
    before = found.existing.get(name)
    if name in found.replaced:
        going = [before] if before else []
        delete = run.kubectl("delete", name, "--ignore-not-found")
        run.do(delete, lambda at: objects.delete(run.kube, going, run.settings.timeout, at), f"Replacing {name}")
        before = None

    def apply(_at: At) -> Object:
        placed = run.kube.again(lambda: run.kube.in_namespace(item, run.settings.namespace), UnservedError)
        return objects.apply(run.kube, placed, before)

    after = run.do(partial(desired.command_of, part, run.app, run.project.folder, run.kubectl_flags), apply)
    if after is None or (before and before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]):
        return False, after or item
    run.forget("seen")
    return True, after


def _scale(run: Run, replicas: int) -> bool:
    def scaled(_at: At) -> bool:
        if readiness.replicas(run.seen.deployment) == replicas:
            return False
        run.forget("seen")
        objects.scale(run.kube, run.app.name, run.settings.namespace, replicas)
        return True

    return run.do(run.kubectl("scale", f"deployments/{run.app.name}", f"--replicas={replicas}"), scaled) or False


def _roll_back(run: Run, found: Found) -> list[Object]:
    """Give the deployments their earlier pod templates, and return them."""
    done: list[str] = []
    for name, before in found.before.items():
        run.forget("seen")
        undo = run.kubectl("rollout", "undo", name, f"--to-revision={before.number}")
        replace_template = partial(objects.replace_template, run.kube, found.existing[name], before.template)
        try:
            run.do.did(undo, replace_template)
        except TaskError:
            if done:
                run.report.say(f"Rolled back so far: {', '.join(done)}. {INV} rollback continues.")
            raise
        done.append(name)
    if not found.before:  # --dry: the cluster was not read
        run.do.show(run.kubectl("rollout", "undo", run.app.deployment))
    return [found.existing[name] for name in found.before]


def _delete(run: Run, found: Found, meanwhile: Callable[[], object]) -> None:
    """Delete the objects, and wait until they are gone and no address of the service answers."""
    exposed = [item for item in found.going if describe(item) == run.app.service]
    what = [*(["the service"] if exposed else []), *(["the deployment"] if len(found.going) > len(exposed) else [])]
    with run.do.step(f"Deleting {' and '.join(what)}" if what else "") as at:
        begun = False
        if found.going:
            command = run.kubectl("delete", *map(describe, found.going), "--ignore-not-found")
            run.forget("seen")
            begun = run.do.did(command, lambda: objects.start_deletion(run.kube, found.going))
        meanwhile()
        if begun and exposed:
            objects.wait_until_gone(run.kube, exposed, run.settings.timeout, at)
            waits.wait_until_closed(run, found.closing)  # before the pods, which take longer to end
        if begun:
            objects.wait_until_gone(run.kube, found.going, run.settings.timeout, at)


def _free_node_port(run: Run) -> int | None:
    """Return the mapped node port if it is free, or None. Raises ExposeError if it is taken and there is no load balancer."""
    mapped = run.cluster.mapped_port
    if mapped is None or service.is_internal(manifests.named(run.manifests, run.app.service)):
        return None
    node_port, port = mapped
    owner = service.node_port_owner(run.kube.list("Service"), node_port, run.app.name, run.settings.namespace)
    if owner is None:
        return node_port
    metadata = owner["metadata"]
    taken = f"Port {port} of 127.0.0.1 belongs to service {metadata['name']} in namespace {metadata['namespace']}"
    if not run.cluster.load_balancer:
        raise ExposeError(
            f"{taken}, and there is no load balancer.", f"Delete that service; or {INVOKE}_CLUSTER_NAME=NAME {INV} ..."
        )
    run.report.say(f"{taken}: this service is reachable only through the load balancer.")
    return None
