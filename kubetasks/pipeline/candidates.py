"""The objects that a removal deletes: those found in the cluster, or those expected under --dry."""

from collections.abc import Sequence
from contextlib import suppress

from kubetasks.errors import ClusterError, SettingError, TaskError
from kubetasks.kube import client, manifests
from kubetasks.kube.client import Object, describe
from kubetasks.kube.kinds import CLAIM, CONFIGURATION, ENDPOINTS
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.project.words import INV


def found(run: Run, wanted: Desired) -> list[Object]:
    """Return the existing objects to delete, in order of deletion. Raises OwnershipError, ClusterError, SettingError."""
    phase = run.provider.phase()
    if phase == "missing":
        return []
    if phase != "running":
        raise ClusterError(f"Cluster {run.provider.name} is {phase}.", f"{INV} start, or {INV} delete to remove it as it is")
    service = run.seen.read_owned(client.reference("Service", run.app.name)) if "service" in wanted.gone else None
    return [*([service] if service else []), *(_applied(run) if "deployment" in wanted.gone else [])]


def expected(run: Run, wanted: Desired) -> list[Object]:
    """Return the objects to delete, as far as the manifests alone name them."""
    service = [client.reference("Service", run.app.name)] if "service" in wanted.gone else []
    own = reversed(run.manifests) if "deployment" in wanted.gone else []
    return [*service, *(manifest.item for manifest in own if manifest.name != run.app.service)]


def _applied(run: Run) -> list[Object]:
    """Return the existing objects that `deploy` has applied, newest first, without the application's service.

    The manifests name them, and the owner's label finds those that only earlier manifests named. On an existing cluster that
    would need more rights: there, only generated configuration and claims are found by label. Raises OwnershipError if an object
    lacks the label, SettingError on an existing cluster if the manifests are broken.
    """
    app, namespace, shared = run.app, run.settings.namespace, run.provider.shared
    try:
        items = [manifest.item for manifest in run.manifests]
    except SettingError:
        if shared:
            raise
        items = [client.reference("Deployment", app.name)]
    existing = _named(run, items)
    if not shared:
        own = [item for item in run.kube.owned(namespace) if item["kind"] != ENDPOINTS]
        # dependents are deleted with their owner
        existing += [item for item in own if not item["metadata"].get("ownerReferences")]
    else:
        generated = app.manifests and manifests.is_generated(app.manifests)  # a changed object has a new name
        listed = [*(CONFIGURATION if generated else ()), *([CLAIM] if any(map(manifests.makes_claims, items)) else ())]
        for kind in listed:
            existing += run.kube.list(kind, namespace, labelSelector=app.owner.selector)
    once = {item["metadata"]["uid"]: item for item in existing if describe(item) != app.service}

    def sort_key(item: Object) -> tuple[str, bool, int]:
        return str(item["metadata"]["creationTimestamp"]), describe(item) == app.deployment, manifests.order(item)

    return sorted(once.values(), key=sort_key, reverse=True)


def _named(run: Run, items: Sequence[Object]) -> list[Object]:
    """Return the objects that exist, except cluster-scoped ones last applied for another namespace. Raises OwnershipError."""
    existing = [live for live in map(run.seen.read_owned, items) if live]
    return [live for live in existing if run.kube.belongs_to(live, run.settings.namespace)]


def outside(run: Run) -> list[Object]:
    """Return the existing cluster-scoped objects that the manifests name."""
    with suppress(TaskError):  # nothing was applied from broken manifests
        items = [manifest.item for manifest in run.manifests]
        return _named(run, [item for item in items if not run.kube.resource(item).namespaced])
    return []


def claims(run: Run) -> list[str]:
    """Return the names of the volume claims that are deleted with the cluster; [] if there are none or it is unreachable."""
    with suppress(TaskError):
        if any(manifests.makes_claims(manifest.item) for manifest in run.manifests) and run.provider.phase() == "running":
            owned = run.kube.list(CLAIM, run.settings.namespace, labelSelector=run.app.owner.selector)
            return sorted(map(describe, owned))
    return []
