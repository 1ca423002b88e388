"""Whether nodes and a deployment are ready, and why not: pure functions of the API's objects."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from kubetasks.kube.client import Object
from kubetasks.wait import Done, Failed, Pending, State

REVISION = "deployment.kubernetes.io/revision"
NODE_STOPPED = ("CrashLoopBackOff", "Unknown")  # why a container waits and how it ended, if its runtime did not see the end
LOGS = "./inv logs shows the output of the pods"
NOT_KNOWN: Mapping[str, datetime] = {}  # when any node started
# reasons of waiting containers that waiting does not cure: (sentence, hint)
HOPELESS = {
    "ErrImageNeverPull": ("the image {image} is not on the node", "./inv build deploy; docs/existing.md for a cluster of others"),
    "ImagePullBackOff": (
        "the image {image} cannot be pulled: {message}",
        "./inv build deploy; docs/existing.md for a cluster of others",
    ),
    "InvalidImageName": ("{image} is not a valid image name", "Fix k8s/deployment.yaml"),
    "CrashLoopBackOff": ("its container keeps crashing ({ending})", LOGS),
    "RunContainerError": ("its container cannot be started: {message}", "Fix k8s/deployment.yaml"),
    "CreateContainerError": ("its container cannot be created: {message}", "Fix k8s/deployment.yaml"),
}


def deployment_state(
    deployment: Object | None,
    replica_sets: Sequence[Object],
    pods: Sequence[Object],
    since: Mapping[str, datetime] = NOT_KNOWN,
) -> State:
    """Done if every wanted replica runs the newest template and is available, and no older pod is left.

    `replica_sets` and `pods` are those that the deployment's selector finds. Only pods of the newest template are checked
    for problems: those of an older one may be what the rollout fixes. `since` is when each node started: what the API says
    of containers that started earlier is from before that.
    """
    if deployment is None:
        return Failed("The deployment is gone.", "./inv deploy")
    name = deployment["metadata"]["name"]
    spec, status = deployment["spec"], deployment.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return Pending("waiting for the deployment controller")
    progressing = conditions.get("Progressing")
    if progressing and progressing.get("reason") == "ProgressDeadlineExceeded":
        return Failed(f"The rollout of {name} made no progress: {progressing['message']}", LOGS)

    wanted = spec.get("replicas", 1)
    newest = [pod for pod in pods if _template(pod) == _newest_template(deployment, replica_sets)]
    updated = status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    total = status.get("replicas", 0)
    refused = conditions.get("ReplicaFailure")
    if refused and refused["status"] == "True" and updated < wanted:  # the condition outlives its cause
        return Failed(f"The cluster refuses pods of {name}: {refused['message']}", "./inv status")
    if updated > wanted:
        return Pending(f"{updated - wanted} surplus pods still terminating")
    for pod in newest:
        problem = pod_problem(pod)
        if problem:
            return problem
    if updated < wanted:
        return Pending(f"{updated} of {wanted} new pods created")
    if total > updated:
        return Pending(f"{total - updated} old pods still terminating")
    if available < wanted:
        reasons = sorted({pod_phase(pod) for pod in newest if not pod_ready(pod)} - {"Running", "Pending", "Terminating"})
        return Pending(f"{available} of {wanted} pods ready" + (f" ({', '.join(reasons)})" if reasons else ""))
    fresh = [pod for pod in newest if started_since(pod, since.get(pod["spec"].get("nodeName", "")))]
    if len(fresh) < len(newest):
        return Pending(f"{len(fresh)} of {len(newest)} pods are back")
    return Done(f"{available} of {wanted} pods ready")


def _template(item: Object) -> str:
    return str(item["metadata"].get("labels", {}).get("pod-template-hash", ""))


def _newest_template(deployment: Object, replica_sets: Sequence[Object]) -> str:
    """The hash of the deployment's current template: its replica set has the deployment's own revision."""
    revision = deployment["metadata"].get("annotations", {}).get(REVISION)
    for replica_set in replica_sets:
        if replica_set["metadata"].get("annotations", {}).get(REVISION) == revision:
            return _template(replica_set)
    return ""


def pod_problem(pod: Object) -> Failed | None:
    """Why a pod will never run, or None. A terminating pod has no problem."""
    name = pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        return None
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting") or {}
        ended = (container.get("lastState", {}).get("terminated")) or {}
        if waiting.get("reason") in HOPELESS and (waiting["reason"], ended.get("reason")) != NODE_STOPPED:
            sentence, hint = HOPELESS[waiting["reason"]]
            text = sentence.format(
                image=container.get("image", "?"),
                message=waiting.get("message", ""),
                ending=f"{ended.get('reason', 'ended')}, exit code {ended.get('exitCode', '?')}",
            )
            return Failed(f"Pod {name} does not run: {text}.", hint)
    for condition in status.get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return Failed(f"Pod {name} fits on no node: {condition.get('message', '')}", "./inv scale --replicas=1")
    return None


def node_state(nodes: Sequence[Object], leases: Sequence[Object], since: Mapping[str, datetime]) -> State:
    """Done if every node is ready, those in `since` among them, and its kubelet has renewed its lease since it started.

    Until then the API reports the state before the nodes stopped. `leases` are those of the namespace kube-node-lease.
    """
    renewed = {
        lease["metadata"]["name"]: datetime.fromisoformat(lease["spec"]["renewTime"])
        for lease in leases
        if lease["spec"].get("renewTime")
    }
    expected = since.keys() | {_name(node) for node in nodes}
    ready = {_name(node) for node in nodes if pod_ready(node) and _name(node) in renewed}
    ready -= {name for name in ready & since.keys() if renewed[name] < since[name]}
    return Done() if expected and len(ready) == len(expected) else Pending(f"{len(ready)} of {len(expected)} nodes ready")


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def started_since(pod: Object, since: datetime | None) -> bool:
    """Whether all of a pod's containers were started at or after `since`, to the second, as the API reports it."""
    if since is None:
        return True
    started = [
        (container.get("state", {}).get("running") or {}).get("startedAt")
        for container in pod.get("status", {}).get("containerStatuses", [])
    ]
    return all(one and datetime.fromisoformat(one) >= since.replace(microsecond=0) for one in started)


def pod_phase(pod: Object) -> str:
    """One word for a pod, as kubectl prints it: Running, Terminating, ErrImageNeverPull, ..."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for container in pod.get("status", {}).get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return str(waiting.get("reason", "Waiting"))
    return str(pod.get("status", {}).get("phase", "Unknown"))


def pod_ready(pod: Object) -> bool:
    """Whether a pod (or node) is ready and not terminating."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
