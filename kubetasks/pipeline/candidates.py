"""What a removal takes away, and what stays: found in the cluster, or expected where nobody looks."""

from contextlib import suppress

from kubetasks.errors import ClusterError, SettingError, TaskError
from kubetasks.kube import client, kinds, manifests
from kubetasks.kube.client import Object, describe
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.project.words import INV


def found(run: Run, wanted: Desired) -> list[Object]:
    """What is to go and is there, in the order in which it is deleted. Raises OwnershipError, ClusterError."""
    phase = run.provider.phase()
    if phase == "missing":
        return []
    if phase != "running":
        raise ClusterError(f"Cluster {run.provider.name} is {phase}.", f"{INV} start, or {INV} delete to remove it as it is")
    service = run.seen.there(client.reference("Service", run.app.name)) if "service" in wanted.gone else None
    return [*([service] if service else []), *(_applied(run) if "deployment" in wanted.gone else [])]


def expected(run: Run, wanted: Desired) -> list[Object]:
    """What is to go, as far as it is known without a look."""
    service = [client.reference("Service", run.app.name)] if "service" in wanted.gone else []
    own = reversed(run.manifests) if "deployment" in wanted.gone else []
    return [*service, *(manifest.item for manifest in own if manifest.name != run.app.service)]


def _applied(run: Run) -> list[Object]:
    """What is there of what `deploy` has applied, the newest first; the application's service is no part of it.

    That is what the manifests name, and, on a cluster of our own, all else that has our label: an earlier version of them may
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
    there = [live for live in map(run.seen.there, items) if live]
    if not shared:
        there += filter(_applied_itself, run.kube.owned(namespace))
    elif app.manifests and manifests.is_kustomized(app.manifests):  # each change of a generated one has another name
        for kind in kinds.CONFIGURATION:
            there += run.kube.list(kind, namespace, labelSelector=app.owner.selector)
    once = {item["metadata"]["uid"]: item for item in there if describe(item) != app.service}

    def turn(item: Object) -> tuple[str, bool, int]:
        return str(item["metadata"]["creationTimestamp"]), describe(item) == app.deployment, manifests.order(item)

    return sorted(once.values(), key=turn, reverse=True)


def _applied_itself(item: Object) -> bool:
    """Whether an object with our label does not have it from another one, with which it goes."""
    return item["kind"] != kinds.COPIED and not any(
        owner.get("controller") for owner in item["metadata"].get("ownerReferences", [])
    )


def claims(run: Run) -> list[str]:
    """The volume claims that go with the cluster, if the manifests have any and the cluster can be asked."""
    with suppress(TaskError):
        if any(manifests.makes_claims(manifest.item) for manifest in run.manifests) and run.provider.phase() == "running":
            owned = run.kube.list(kinds.CLAIM, run.settings.namespace, labelSelector=run.app.owner.selector)
            return sorted(map(describe, owned))
    return []
