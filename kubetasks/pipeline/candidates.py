"""What a removal takes away, and what stays: found in the cluster, or expected where nobody looks."""

from collections.abc import Sequence
from contextlib import suppress

from kubetasks.errors import ClusterError, SettingError, TaskError
from kubetasks.kube import manifests
from kubetasks.kube.client import describe
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.project.words import INV

Named = tuple[str, str]  # kind and name of an object


def names(objects: Sequence[Named]) -> list[str]:
    """The objects as kubectl prints them: deployment/NAME."""
    return [f"{kind.lower()}/{name}" for kind, name in objects]


def found(run: Run, wanted: Desired) -> list[Named]:
    """What is to go and is there, in the order in which it is deleted. Raises OwnershipError, ClusterError."""
    phase = run.provider.phase()
    if phase == "missing":
        return []
    if phase != "running":
        raise ClusterError(f"Cluster {run.provider.name} is {phase}.", f"{INV} start, or {INV} delete to remove it as it is")
    exposed = "service" in wanted.gone and run.seen.there("Service", run.app.name)
    return [*([("Service", run.app.name)] if exposed else []), *(_applied(run) if "deployment" in wanted.gone else [])]


def expected(run: Run, wanted: Desired) -> list[Named]:
    """What is to go, as far as it is known without a look."""
    service = [("Service", run.app.name)] if "service" in wanted.gone else []
    own = reversed(run.manifests) if "deployment" in wanted.gone else []
    return [
        *service,
        *((manifest.item["kind"], manifest.item["metadata"]["name"]) for manifest in own if manifest.name != run.app.service),
    ]


def _applied(run: Run) -> list[Named]:
    """What is there of what `deploy` has applied, the last first; the application's service is no part of it.

    That is what the manifests name, and, on a cluster of our own, all else that is the owner's: an earlier version of them may
    have named it. On an existing cluster that needs more rights. Raises OwnershipError if something is not ours, SettingError on
    an existing cluster if the manifests are broken.
    """
    shared, kinds = run.provider.shared, list[str]()
    try:
        items = [manifest.item for manifest in run.manifests]
    except SettingError:
        if shared:
            raise
        items = [{"kind": "Deployment", "metadata": {"name": run.app.name}}]
    if not shared:
        kinds = manifests.KINDS
    elif run.app.manifests and manifests.is_kustomized(run.app.manifests):  # each change of a generated one has another name
        kinds = list(manifests.CONFIGURATION)
    for kind in kinds:
        items += run.kube.list(kind, run.settings.namespace, labelSelector=run.app.owner.selector)
    named = dict.fromkeys((item["kind"], item["metadata"]["name"]) for item in items if describe(item) != run.app.service)
    present = [(kind, name) for kind, name in named if run.seen.there(kind, name)]
    return sorted(present, key=lambda named: (named[1] == run.app.name, manifests.KINDS.index(named[0])), reverse=True)


def claims(run: Run) -> list[str]:
    """The volume claims that go with the cluster, if the manifests have any and the cluster can be asked."""
    with suppress(TaskError):
        if any(manifest.item["kind"] == manifests.CLAIM for manifest in run.manifests) and run.provider.phase() == "running":
            owners = run.kube.list(manifests.CLAIM, run.settings.namespace, labelSelector=run.app.owner.selector)
            return sorted(map(describe, owners))
    return []
