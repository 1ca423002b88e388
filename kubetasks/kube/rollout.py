"""Whether a deployment has become what was asked for: pure functions of the API's own objects."""

from collections.abc import Sequence
from datetime import datetime

from kubetasks.kube.client import Object
from kubetasks.wait import Done, Failed, Pending, State

REVISION = "deployment.kubernetes.io/revision"
LOGS = "./inv logs shows what the pod said"
# what a container waits for in vain: reason -> (sentence, hint)
HOPELESS = {
    "ErrImageNeverPull": ("the image {image} is not on the node", "./inv build deploy"),
    "ImagePullBackOff": ("the image {image} cannot be pulled", "./inv build deploy"),
    "InvalidImageName": ("{image} is no name of an image", "look at k8s/deployment.yaml"),
    "CrashLoopBackOff": ("its container ends again and again ({ending})", LOGS),
    "RunContainerError": ("its container cannot be started: {message}", "look at k8s/deployment.yaml"),
    "CreateContainerError": ("its container cannot be made: {message}", "look at k8s/deployment.yaml"),
}


def deployment_state(deployment: Object | None, replica_sets: Sequence[Object], pods: Sequence[Object]) -> State:
    """Done when every replica that is wanted runs the newest template, is available, and no older pod is left.

    `replica_sets` and `pods` are those that the deployment's selector finds. Only pods of the newest template are looked
    at for problems: those of an older one may well be what the roll-out mends.
    """
    if deployment is None:
        return Failed("The deployment is gone.", "./inv deploy")
    name = deployment["metadata"]["name"]
    spec, status = deployment["spec"], deployment.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return Pending("waiting for the deployment to be noticed")
    progressing = conditions.get("Progressing")
    if progressing and progressing.get("reason") == "ProgressDeadlineExceeded":
        return Failed(f"The roll-out of {name} made no progress: {progressing['message']}", LOGS)

    wanted = spec.get("replicas", 1)
    newest = [pod for pod in pods if _template(pod) == _newest_template(deployment, replica_sets)]
    updated = status.get("updatedReplicas", 0)
    available = status.get("availableReplicas", 0)
    total = status.get("replicas", 0)
    refused = conditions.get("ReplicaFailure")
    if refused and refused["status"] == "True" and updated < wanted:  # it outlives what was wanted when it came
        return Failed(f"The cluster refuses pods of {name}: {refused['message']}", "./inv status")
    if updated > wanted:
        return Pending(f"{updated - wanted} pods too many still to end")
    for pod in newest:
        problem = pod_problem(pod)
        if problem:
            return problem
    if updated < wanted:
        return Pending(f"{updated} of {wanted} new pods made")
    if total > updated:
        return Pending(f"{total - updated} old pods still to end")
    if available < wanted:
        reasons = sorted({pod_phase(pod) for pod in newest if not pod_ready(pod)} - {"Running", "Pending", "Terminating"})
        return Pending(f"{available} of {wanted} pods ready" + (f" ({', '.join(reasons)})" if reasons else ""))
    return Done(f"{available} of {wanted} pods ready")


def _template(item: Object) -> str:
    return str(item["metadata"].get("labels", {}).get("pod-template-hash", ""))


def _newest_template(deployment: Object, replica_sets: Sequence[Object]) -> str:
    """The hash of the template that the deployment asks for now: its replica set has the deployment's own revision."""
    revision = deployment["metadata"].get("annotations", {}).get(REVISION)
    for replica_set in replica_sets:
        if replica_set["metadata"].get("annotations", {}).get(REVISION) == revision:
            return _template(replica_set)
    return ""


def pod_problem(pod: Object) -> Failed | None:
    """What keeps a pod from ever running, if anything does. A pod on its way out has no problems."""
    name = pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        return None
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            sentence, hint = HOPELESS[waiting["reason"]]
            ended = (container.get("lastState", {}).get("terminated")) or {}
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


def node_state(nodes: Sequence[Object], leases: Sequence[Object], since: datetime) -> State:
    """Done when every node is ready and its kubelet has said so after `since`: what a stopped cluster last knew is stale.

    `leases` are those of the namespace kube-node-lease.
    """
    renewed = {
        lease["metadata"]["name"]
        for lease in leases
        if lease["spec"].get("renewTime") and datetime.fromisoformat(lease["spec"]["renewTime"]) >= since
    }
    ready = [node for node in nodes if pod_ready(node) and node["metadata"]["name"] in renewed]
    return Done() if nodes and len(ready) == len(nodes) else Pending(f"{len(ready)} of {len(nodes)} nodes ready")


def back_state(pods: Sequence[Object], since: datetime) -> State:
    """Done when every pod is ready with containers that were started after `since`: before that a node tells what was."""

    def back(pod: Object) -> bool:
        started = [
            (container.get("state", {}).get("running") or {}).get("startedAt")
            for container in pod.get("status", {}).get("containerStatuses", [])
        ]
        fresh = all(one and datetime.fromisoformat(one) >= since.replace(microsecond=0) for one in started)
        return pod_ready(pod) and fresh

    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    number = sum(back(pod) for pod in staying)
    return Done() if number == len(staying) else Pending(f"{number} of {len(staying)} pods are back")


def pod_phase(pod: Object) -> str:
    """One word for a pod, as kubectl shows it: Running, Terminating, ErrImageNeverPull, ..."""
    if pod["metadata"].get("deletionTimestamp"):
        return "Terminating"
    for container in pod.get("status", {}).get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return str(waiting.get("reason", "Waiting"))
    return str(pod.get("status", {}).get("phase", "Unknown"))


def pod_ready(pod: Object) -> bool:
    """Whether the pod (or node) says that it is ready, and is not on its way out."""
    if pod["metadata"].get("deletionTimestamp"):
        return False
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def ready_endpoints(slices: Sequence[Object]) -> set[str]:
    """The names of the pods that a service's EndpointSlices send requests to."""
    return {
        endpoint["targetRef"]["name"]
        for endpoint_slice in slices
        for endpoint in endpoint_slice.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready") and endpoint.get("targetRef")
    }
