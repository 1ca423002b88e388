"""The objects that a removal deletes, and those that stay: found in the cluster, or expected under --dry."""

from collections.abc import Sequence
from contextlib import suppress

from kubetasks.errors import ClusterError, SettingError, TaskError
from kubetasks.kube import client, manifests
from kubetasks.kube.client import Object, describe
from kubetasks.kube.kinds import CLAIM, CONFIGURATION, COPIED
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.project.words import INV


def found(run: Run, wanted: Desired) -> list[Object]:
    """The existing objects to delete, in that order. Raises OwnershipError, ClusterError."""
    phase = run.provider.phase()
    if phase == "missing":
        return []
    if phase != "running":
        raise ClusterError(f"Cluster {run.provider.name} is {phase}.", f"{INV} start, or {INV} delete to remove it as it is")
    service = run.seen.there(client.reference("Service", run.app.name)) if "service" in wanted.gone else None
    return [*([service] if service else []), *(_applied(run) if "deployment" in wanted.gone else [])]


def expected(run: Run, wanted: Desired) -> list[Object]:
    """The objects to delete, as far as they are known without a look."""
    service = [client.reference("Service", run.app.name)] if "service" in wanted.gone else []
    own = reversed(run.manifests) if "deployment" in wanted.gone else []
    return [*service, *(manifest.item for manifest in own if manifest.name != run.app.service)]


def _applied(run: Run) -> list[Object]:
    """The existing objects that `deploy` has applied, the newest first, without the application's service.

    That is what the manifests name, and, on a cluster that kubetasks created, all else with our label: an earlier version may
    have named it. On an existing cluster that needs more rights. Raises OwnershipError if something is not ours, SettingError on
    an existing cluster if the manifests are broken.
    """
    app, namespace, shared = run.app, run.settings.namespace, run.provider.shared
    try:
        items = [manifest.item for manifest in run.manifests]
    except SettingError:
        if shared:
            raise
        items = [client.reference("Deployment", app.name)]
    there = _named(run, items)
    if not shared:
        own = [item for item in run.kube.owned(namespace) if item["kind"] != COPIED]
        there += [item for item in own if not item["metadata"].get("ownerReferences")]  # what has an owner goes with it
    else:
        generated = app.manifests and manifests.is_generated(app.manifests)  # each change has another name
        listed = [*(CONFIGURATION if generated else ()), *([CLAIM] if any(map(manifests.makes_claims, items)) else ())]
        for kind in listed:
            there += run.kube.list(kind, namespace, labelSelector=app.owner.selector)
    once = {item["metadata"]["uid"]: item for item in there if describe(item) != app.service}

    def turn(item: Object) -> tuple[str, bool, int]:
        return str(item["metadata"]["creationTimestamp"]), describe(item) == app.deployment, manifests.order(item)

    return sorted(once.values(), key=turn, reverse=True)


def _named(run: Run, items: Sequence[Object]) -> list[Object]:
    """Those of the objects that are there; one without a namespace may belong to another one meanwhile. Raises OwnershipError."""
    there = [live for live in map(run.seen.there, items) if live]
    return [live for live in there if run.kube.placed_for(live, run.settings.namespace)]


def outside(run: Run) -> list[Object]:
    """The objects of the manifests that belong to no namespace."""
    with suppress(TaskError):  # broken manifests have applied nothing
        items = [manifest.item for manifest in run.manifests]
        return _named(run, [item for item in items if not run.kube.resource(item).namespaced])
    return []


def claims(run: Run) -> list[str]:
    """The volume claims that go with the cluster, if the manifests have any and the cluster can be asked."""
    with suppress(TaskError):
        if any(manifests.makes_claims(manifest.item) for manifest in run.manifests) and run.provider.phase() == "running":
            owned = run.kube.list(CLAIM, run.settings.namespace, labelSelector=run.app.owner.selector)
            return sorted(map(describe, owned))
    return []
