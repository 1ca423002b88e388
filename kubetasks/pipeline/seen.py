"""What there is in the cluster: read, and not changed."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from kubetasks.errors import ClusterError, ExposeError, RolloutError, SettingError, TaskError
from kubetasks.kube import manifests, objects, problems, readiness, service
from kubetasks.kube.client import ApiError, Object, describe
from kubetasks.kube.problems import Evidence
from kubetasks.kube.readiness import Rollout
from kubetasks.kube.service import Address
from kubetasks.pipeline import judge, probe
from kubetasks.pipeline.judge import Exposure
from kubetasks.pipeline.run import Run
from kubetasks.terminal import wait

LOGS = "./inv status; ./inv logs"


def deployment(run: Run) -> Object | None:
    return run.kube.get("Deployment", run.app.name, run.settings.namespace)


def runs(run: Run) -> bool:
    """Whether there is a cluster to remove something from. Raises ClusterError if it cannot be asked as it is."""
    phase = run.provider.phase()
    if phase in ("missing", "running"):
        return phase == "running"
    raise ClusterError(f"Cluster {run.provider.name} is {phase}.", "./inv start, or ./inv delete to remove it as it is")


def require_namespace(run: Run) -> None:
    """Raises ClusterError if the namespace is missing."""
    namespace = run.settings.namespace
    if run.kube.get("Namespace", namespace) is None:
        raise ClusterError(f"The namespace {namespace} does not exist.", f"{run.kube.kubectl_line} create namespace {namespace}")


def require_deployment(run: Run) -> Object:
    """Our deployment. Raises RolloutError if there is none, OwnershipError if it is not ours."""
    name, namespace = run.app.name, run.settings.namespace
    found = objects.there(run.kube, "Deployment", name, namespace)
    if found is None:
        raise RolloutError(f"There is no deployment {name} in namespace {namespace}.", "./inv deploy")
    return found


def applied(run: Run) -> list[tuple[str, str]]:
    """Kind and name of what is there of what `deploy` has applied, the last first; the application's service is no part of it.

    That is what the manifests name, and, on a cluster of our own, all else that is the owner's: an earlier version of them may
    have named it. On an existing cluster that needs more rights. Raises OwnershipError if something is not ours, SettingError on
    an existing cluster if the manifests are broken.
    """
    kube, namespace, kinds = run.kube, run.settings.namespace, list[str]()
    try:
        found = [one.item for one in run.manifests]
    except SettingError:
        if run.provider.shared:
            raise
        found = [{"kind": "Deployment", "metadata": {"name": run.app.name}}]
    if not run.provider.shared:
        kinds = manifests.KINDS
    elif run.app.manifests and manifests.is_kustomized(run.app.manifests):  # each change of a generated one has another name
        kinds = list(manifests.CONFIGURATION)
    found += [item for kind in kinds for item in kube.list(kind, namespace, labelSelector=run.app.owner.selector)]
    names = [(item["kind"], item["metadata"]["name"]) for item in found if describe(item) != run.app.service]
    names = [(kind, name) for kind, name in dict.fromkeys(names) if objects.there(kube, kind, name, namespace)]
    return sorted(names, key=lambda one: (one[1] == run.app.name, manifests.KINDS.index(one[0])), reverse=True)


def claims(run: Run) -> list[str]:
    """The volume claims that go with the cluster, if the manifests have any and the cluster can be asked."""
    with suppress(TaskError):
        if any(one.item["kind"] == manifests.CLAIM for one in run.manifests) and run.provider.phase() == "running":
            found = run.kube.list(manifests.CLAIM, run.settings.namespace, labelSelector=run.app.owner.selector)
            return sorted(map(describe, found))
    return []


def rollout(run: Run, delivered: str = "", name: str = "") -> Rollout:
    """Read a rollout, of the application's own deployment unless another one's `name` is given. `delivered` is the image that
    the nodes have just been given.
    """
    kube, namespace, selector = run.kube, run.settings.namespace, run.app.selector
    found = kube.get("Deployment", name or run.app.name, namespace)
    if name and found:
        selector = ",".join(f"{key}={value}" for key, value in found["spec"]["selector"]["matchLabels"].items())
    replica_sets = kube.list("ReplicaSet", namespace, labelSelector=selector)
    pods = kube.list("Pod", namespace, labelSelector=selector)
    if found:  # others may have the same labels
        replica_sets = owned(replica_sets, [found])
        pods = owned(pods, replica_sets)
    return Rollout(found, replica_sets, pods, evidence(run, pods, delivered))


def owned(items: Iterable[Object], owners: Iterable[Object]) -> list[Object]:
    """Those of the objects that one of the owners controls."""
    known = {owner["metadata"]["uid"] for owner in owners}
    return [one for one in items if any(two["uid"] in known for two in one["metadata"].get("ownerReferences", []))]


def job(run: Run, name: str) -> tuple[Object | None, Rollout]:
    """A job, None if it is gone, with its pods and what was asked about those that do not start."""
    pods = run.kube.list("Pod", run.settings.namespace, labelSelector=f"batch.kubernetes.io/job-name={name}")
    return run.kube.get("Job", name, run.settings.namespace), Rollout(pods=pods, evidence=evidence(run, pods))


def evidence(run: Run, pods: list[Object], delivered: str = "") -> Evidence:
    """What is asked of pods that do not start."""
    now = datetime.now(UTC)
    nodes = _visible(run, "Node") if any(problems.unschedulable(pod) is not None for pod in pods) else None
    asked = any(found.unusual for found in (problems.unready(pod, now) for pod in pods) if found)
    unhealthy = _visible(run, "Event", fieldSelector="reason=Unhealthy") if asked else None
    unmounted = _mount_events(run) if any(problems.creating(pod, now) for pod in pods) else []
    kubectl = f"{run.kube.kubectl_line} --namespace {run.settings.namespace}"
    return Evidence(
        now,
        nodes,
        problems.probe_answers(unhealthy or []),
        problems.mount_failures(unmounted),
        delivered,
        kubectl,
    )


def _mount_events(run: Run) -> list[Object]:
    found = [_visible(run, "Event", fieldSelector=f"reason={reason}") or [] for reason in problems.NOT_MOUNTED]
    return [event for events in found for event in events]


def rollout_state(run: Run, found: Rollout) -> wait.State:
    """How far the rollout is, and whether waiting helps."""
    return readiness.rollout_state(found, run.cluster.since, run.settings.grace_period)


def events(run: Run) -> list[Object]:
    """The events of the namespace; none if they may not be seen."""
    return _visible(run, "Event") or []


def _visible(run: Run, kind: str, **selectors: str) -> list[Object] | None:
    """The objects of a kind, those of the namespace if it has one; None if they may not be seen."""
    try:
        return run.kube.list(kind, run.settings.namespace, **selectors)
    except ApiError as error:
        if error.status != 403:
            raise
        return None


def find_service(run: Run) -> Object | None:
    return run.kube.get("Service", run.app.name, run.settings.namespace)


def addresses(run: Run, found: Object) -> list[Address]:
    """Every address at which the service may answer this machine, the preferred one first."""
    # rights for one namespace alone cannot list nodes: a load balancer's address is enough
    nodes = (_visible(run, "Node") if run.cluster.node_ports else None) or []
    return service.addresses(found, run.cluster.mapped_port, nodes)


def address(run: Run) -> Address:
    """An address that answers, otherwise the preferred one. Raises ExposeError if there is no service or no address."""
    found = known(run)
    return probe.first_answering(run.app, found) or found[0]


def known(run: Run) -> Sequence[Address]:
    """The addresses of the service. Raises ExposeError if there is no service or no address."""
    found = find_service(run)
    return require_known(run, addresses(run, found) if found else None)


def require_known(run: Run, found: Sequence[Address] | None) -> Sequence[Address]:
    """Addresses of the service, which are None if there is no service. Raises ExposeError if there is none."""
    if found is None:
        raise ExposeError(f"There is no service {run.app.name} in namespace {run.settings.namespace}.", "./inv expose")
    if not found:
        raise ExposeError("The service has no address yet.", "./inv expose waits for one")
    return found


def require_answer(run: Run, found: Sequence[Address]) -> Address:
    """The first of the addresses that answers. Raises ExposeError if none does."""
    if first := probe.first_answering(run.app, found):
        return first
    urls = " or ".join(one.url for one in found)
    raise ExposeError(f"Nothing answers at {urls}.", "./inv expose applies the service again; ./inv logs")


def ready_pods(run: Run) -> frozenset[str]:
    """The names of the pods that the service sends requests to."""
    return frozenset(service.ready_pods(_slices(run)))


def _slices(run: Run) -> list[Object]:
    return run.kube.list("EndpointSlice", run.settings.namespace, labelSelector=run.app.slices)


def exposure(run: Run) -> Exposure:
    """The service with its addresses and pods, as it is now."""
    found = find_service(run)
    if found is None:
        return Exposure(None, None, frozenset(), [])
    awaited = run.cluster.load_balancer and not found["status"].get("loadBalancer", {}).get("ingress")
    slices = _slices(run)
    ports = service.ready_ports(found, slices)
    return Exposure(found, deployment(run), frozenset(ports), addresses(run, found), awaited, ports)


def silence(run: Run, found: Exposure, pod: str) -> str:
    """Why a ready pod gives no good answer when the API server asks it, or "". Raises ApiError."""
    return run.kube.ask_pod(run.settings.namespace, pod, found.ports[pod], run.app.health)


def unanswered(run: Run, found: Exposure, pods: Iterable[str]) -> wait.State | None:
    """The state of the first of these pods that gives no good answer; None if each does. Raises ApiError."""
    for pod in pods:
        why = silence(run, found, pod)
        if why:
            return judge.unanswered(found, pod, run.app.health, why)
    return None
