"""Whether nodes and a deployment are ready, and why not: pure functions of the API's objects."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple

from kubetasks.kube import problems
from kubetasks.kube.client import Object
from kubetasks.kube.problems import Evidence, Grace, Problem
from kubetasks.terminal.wait import Done, Failed, Pending, State

REVISION = "deployment.kubernetes.io/revision"
ENDED = ("Failed", "Succeeded")  # phases of pods that the replica set has replaced
NOT_KNOWN: Mapping[str, datetime] = {}  # when any node started


@dataclass(frozen=True)
class Rollout:
    """The deployment, None if there is none, with what its selector finds, and what was asked about pods that do not start."""

    deployment: Object | None = None
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    evidence: Evidence = field(default_factory=Evidence)


def rollout_state(rollout: Rollout, since: Mapping[str, datetime] = NOT_KNOWN, grace: float = 1.0) -> State:
    """Done if every wanted replica runs the newest template and is available, and no older pod is left.

    `since` is when each node started: what the API says of containers that started earlier is from before that. `grace` is what
    a problem's own is multiplied by, seconds.
    """
    wrong = problem(rollout)
    if wrong:
        return Failed(wrong.sentence, wrong.hint, wrong.code, wrong.name, wrong.grace * grace)
    return progress(rollout, since)


def problem(rollout: Rollout) -> Problem | None:
    """What is wrong with the rollout, or None.

    Only pods of the newest template are looked at: the rollout may mend those of an older one.
    """
    deployment, evidence = rollout.deployment, rollout.evidence
    if deployment is None:
        return problems.of_kind("deployment-gone", "")
    name = deployment["metadata"]["name"]
    status, wanted = deployment.get("status", {}), replicas(deployment)
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    if not _noticed(deployment):
        return None
    newest = newest_pods(rollout)
    updated = status.get("updatedReplicas", 0)
    if updated > wanted:
        return None
    starting = [pod for pod in newest if not pod_ready(pod) and problems.of_pod(pod, evidence) is None]
    ending = [pod for pod in rollout.pods if pod["metadata"].get("deletionTimestamp")]
    releasing = bool(starting or ending)
    refused = conditions.get("ReplicaFailure", {})
    if refused.get("status") == "True" and updated < wanted:  # the condition outlives its cause
        message = str(refused.get("message", ""))
        code = "quota" if "exceeded quota" in message else "pods-refused"
        heals = (code == "quota" and releasing) or any(words in message for words in problems.ADMITTED_LATER)
        return problems.of_kind(code, name, grace=Grace.LONG if heals else None, message=message)
    fitting = sum("nodeName" in pod["spec"] and pod not in ending for pod in newest)
    of_pod = partial(
        problems.of_pod,
        evidence=evidence,
        releasing=releasing,
        fitting=fitting if fitting < wanted else 0,
        revertible=revision_before(rollout) is not None,
    )
    failing = [wrong for wrong in map(of_pod, newest) if wrong]
    if failing:
        worst = min(failing, key=lambda wrong: wrong.grace)
        # the nodes may be too busy with those that start for this one to answer
        return None if starting and (worst.code, worst.grace) == ("not-ready", Grace.LONG) else worst
    if deployment["spec"].get("paused") and (updated < wanted or status.get("replicas", 0) > updated):
        return problems.of_kind("paused", name, kubectl=evidence.kubectl)
    progressing = conditions.get("Progressing", {})
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return problems.of_kind("no-progress", name, message=progressing.get("message", ""))
    return None


def late(rollout: Rollout, seconds: float, missing: str) -> Problem:
    """The problem of a rollout that is not complete in time, at a pod that is not ready if there is one."""
    pod = next((pod for pod in newest_pods(rollout) if not pod_ready(pod)), None)
    at = pod or rollout.deployment
    name, container = _name(at) if at else "", pod["spec"]["containers"][0]["name"] if pod else ""
    return problems.of_kind("timeout", name, container, seconds=f"{seconds:.0f}", message=missing)


def replicas(deployment: Object | None) -> int:
    """How many pods a deployment wants; 0 if there is none."""
    return int(deployment["spec"].get("replicas", 1)) if deployment else 0


def _noticed(deployment: Object) -> bool:
    """Whether the deployment controller has seen the newest specification."""
    return bool(deployment.get("status", {}).get("observedGeneration", 0) >= deployment["metadata"]["generation"])


def progress(rollout: Rollout, since: Mapping[str, datetime]) -> Done | Pending:
    """How far a rollout in which nothing is wrong is."""
    deployment, newest = rollout.deployment, newest_pods(rollout)
    if not deployment or not _noticed(deployment):
        return Pending("waiting for the deployment controller")
    wanted, status = replicas(deployment), deployment.get("status", {})
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    total = status.get("replicas", 0)
    if updated > wanted:
        return Pending(f"{updated - wanted} surplus pods still terminating")
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


class Revision(NamedTuple):
    """A revision of a deployment: its number and its pod template."""

    number: int
    template: Object


def revision_before(rollout: Rollout) -> Revision | None:
    """The newest earlier revision that still has ready pods, or the newest earlier one; None if there is none."""
    newest = _newest_template(rollout)
    numbered = [replica_set for replica_set in rollout.replica_sets if REVISION in replica_set["metadata"].get("annotations", {})]
    earlier = [replica_set for replica_set in numbered if _template(replica_set) != newest]
    serving = [replica_set for replica_set in earlier if replica_set.get("status", {}).get("readyReplicas")]
    chosen = max(serving or earlier, key=_revision, default=None)
    if chosen is None:
        return None
    template = copy.deepcopy(chosen["spec"]["template"])
    template["metadata"].get("labels", {}).pop("pod-template-hash", None)
    return Revision(_revision(chosen), template)


def _revision(replica_set: Object) -> int:
    return int(replica_set["metadata"]["annotations"][REVISION])


def newest_set(rollout: Rollout) -> str:
    """The name of the replica set of the deployment's current template; "" if there is none yet."""
    newest = _newest_template(rollout)
    return next((_name(replica_set) for replica_set in rollout.replica_sets if _template(replica_set) == newest), "")


def newest_pods(rollout: Rollout) -> list[Object]:
    """The pods of the deployment's current template, without those that have ended for good, such as evicted ones."""
    newest = _newest_template(rollout)
    return [pod for pod in rollout.pods if _template(pod) == newest and pod.get("status", {}).get("phase") not in ENDED]


def _template(item: Object) -> str:
    return str(item["metadata"].get("labels", {}).get("pod-template-hash", ""))


def _newest_template(rollout: Rollout) -> str | None:
    """The hash of the deployment's current template: its replica set has the deployment's own revision. None without either."""
    if rollout.deployment is None:
        return None
    revision = rollout.deployment["metadata"].get("annotations", {}).get(REVISION)
    same = (
        replica_set
        for replica_set in rollout.replica_sets
        if replica_set["metadata"].get("annotations", {}).get(REVISION) == revision
    )
    return next(map(_template, same), None)


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
    return all(_not_before(since, time) for time in started)


def crashed_since(pod: Object, since: datetime | None) -> bool:
    """Whether a container of the pod ended at or after `since`, to the second: what the API says may be from before that."""
    status = pod.get("status", {})
    ended = [
        (container.get("lastState", {}).get("terminated") or {}).get("finishedAt")
        for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
    ]
    return any(_not_before(since, time) for time in ended)


def _not_before(since: datetime | None, time: str | None) -> bool:
    """Whether the API reports a time, and one that is not before the second of `since`."""
    return time is not None and (since is None or datetime.fromisoformat(time) >= since.replace(microsecond=0))


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
