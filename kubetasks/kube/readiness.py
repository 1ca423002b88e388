"""Whether the application's objects are ready, and why not: pure functions of API objects.

The rules follow kstatus: https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple

from kubetasks.kube import problems
from kubetasks.kube.client import VERSIONS, Object, describe, within
from kubetasks.kube.kinds import COMMON_CONDITIONS, CONDITIONS, COUNTS, DESIRED, RUN_ONCE
from kubetasks.kube.problems import Evidence, Grace, Problem
from kubetasks.kube.states import (
    condition,
    conditions,
    container_statuses,
    name_of,
    pod_phase,
    pod_ready,
    started_since,
    steady,
    terminating,
)
from kubetasks.terminal.wait import Done, Failed, Pending, State

REVISION = "deployment.kubernetes.io/revision"
BACKOFF_LIMIT = "backoffLimit"
ENDED = ("Failed", "Succeeded")  # phases of pods that their controller replaces
# problems that resolve once something that the pod needs exists, such as a database, a migration or a secret
CRASH_LOOP = "crash-loop"
RECOVERABLE = (CRASH_LOOP, "container-config", "volume-mount", "not-ready", "no-progress")
NOT_KNOWN: Mapping[str, datetime] = {}  # `since` if nobody knows when the nodes started


@dataclass(frozen=True)
class Rollout:
    """An object of any kind (None if it does not exist), its pods, and the evidence about pods that do not start.

    Only a deployment has replica sets.
    """

    workload: Object | None = None
    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    evidence: Evidence = field(default_factory=Evidence)


def rollout_state(rollout: Rollout, since: Mapping[str, datetime] = NOT_KNOWN, grace: float = 1.0) -> State:
    """Return Failed if the object has a problem, Done if it is ready, otherwise Pending. A kind with replicas is ready if every
    wanted one runs the newest template and is available, and no older pod is left; for any other kind, the conditions decide.

    `since` is when each node started: the API's status of a container that started earlier is out of date. `grace`, in seconds,
    multiplies the problem's own grace period.
    """
    wrong = problem(rollout)
    if wrong:
        return Failed(wrong.sentence, wrong.hint, wrong.code, wrong.name, wrong.grace * grace)
    return progress(rollout, since)


def problem(rollout: Rollout) -> Problem | None:
    """Return the problem of the rollout, or None.

    Only pods of the newest template count: the rollout may fix older pods by replacing them.
    """
    workload, evidence = rollout.workload, rollout.evidence
    if workload is None:
        return problems.of_kind("gone", "")
    name = workload["metadata"]["name"]
    if terminating(workload) or not _observed(workload):
        return None
    if message := failure(workload):
        pod = max(rollout.pods, key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)
        return problems.of_kind("failed", *_named(pod), what=describe(workload), message=message)
    spec, by_type, count = within(workload, "spec"), conditions(workload), _count(workload)
    if count is None:
        failing = [wrong for wrong in (problems.of_pod(pod, evidence) for pod in newest_pods(rollout)) if wrong]
        # a job sets its own limit for failing containers
        return next((wrong for wrong in failing if wrong.code != CRASH_LOOP or BACKOFF_LIMIT not in spec), None)
    wanted, total, updated, _ = count
    newest = newest_pods(rollout)
    if updated > wanted:
        return None
    starting = [pod for pod in newest if not pod_ready(pod) and problems.of_pod(pod, evidence) is None]
    leaving = [pod for pod in rollout.pods if terminating(pod)]
    releasing = bool(starting or leaving)
    refused = by_type.get("ReplicaFailure", {})
    if refused.get("status") == "True" and updated < wanted:  # the condition outlives its cause
        message = str(refused.get("message", ""))
        code = "quota" if "exceeded quota" in message else "pods-refused"
        heals = (code == "quota" and releasing) or any(words in message for words in problems.ADMITTED_LATER)
        return problems.of_kind(code, name, grace=Grace.LONG if heals else None, message=message)
    fitting = sum("nodeName" in pod["spec"] and pod not in leaving for pod in newest)
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
        # the nodes may be too busy starting the other pods for this one to answer
        return None if starting and (worst.code, worst.grace) == ("not-ready", Grace.LONG) else worst
    if spec.get("paused") and (updated < wanted or total > updated):
        return problems.of_kind("paused", name, kubectl=evidence.kubectl)
    progressing = by_type.get("Progressing", {})
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        return problems.of_kind("no-progress", name, message=progressing.get("message", ""))
    return None


def deciding(states: Mapping[str, State]) -> str:
    """Return the name of the object whose state sums up all: the first that fails for good, else the first that is pending, else
    one whose problem another object might have resolved, else the last.
    """
    failed = {name: state for name, state in states.items() if isinstance(state, Failed)}
    hopeless = [name for name, state in failed.items() if state.code not in RECOVERABLE]
    pending = [name for name, state in states.items() if isinstance(state, Pending)]
    healed = [name for code in RECOVERABLE for name, state in failed.items() if state.code == code]
    return next(iter([*hopeless, *pending, *healed, *reversed(list(states))]))


def restarts(rollout: Rollout) -> int:
    """Return how many times the containers of the rollout's pods have been restarted."""
    return sum(container["restartCount"] for pod in rollout.pods for container in container_statuses(pod))


def late(rollout: Rollout, seconds: float, missing: str) -> Problem:
    """Return the problem of a rollout that timed out: of the first new pod that is not ready, otherwise of the workload."""
    pod = next((pod for pod in newest_pods(rollout) if not pod_ready(pod)), None)
    name, container = _named(pod)
    name = name or (name_of(rollout.workload) if rollout.workload else "")
    return problems.of_kind("timeout", name, container, seconds=f"{seconds:.0f}", message=missing)


def failure(item: Object) -> str:
    """Return why an object has failed for good, or "": a job that gave up, a failed pod, a stalled controller."""
    ends, status = item["kind"] in RUN_ONCE, within(item, "status")
    failed = condition(item, "Failed" if ends else "Stalled")
    if failed.get("status") != "True":
        failed = status if ends and status.get("phase") == "Failed" else {}
    return str(failed.get("message") or failed.get("reason") or "its containers have exited") if failed else ""


def _named(pod: Object | None) -> tuple[str, str]:
    """Return the names of a pod and of its first container; "" for both without a pod."""
    return (name_of(pod), pod["spec"]["containers"][0]["name"]) if pod else ("", "")


def _count(item: Object) -> tuple[int, int, int, int] | None:
    """Return how many pods are wanted, exist, have the newest template, and are available; None if the kind counts none."""
    if item["kind"] not in COUNTS:
        return None
    status, strategy = within(item, "status"), within(item, "spec", "updateStrategy")
    total, updated, available = (status.get(name, 0) for name in COUNTS[item["kind"]])
    kept = total if strategy.get("type") == "OnDelete" else within(strategy, "rollingUpdate").get("partition", 0)
    return status.get(DESIRED, item["spec"].get("replicas", 1)), total, max(updated, min(updated + kept, total)), available


def replicas(workload: Object | None) -> int:
    """Return how many pods a workload wants; 0 if it does not exist or its kind counts none."""
    wanted, *_ = (_count(workload) if workload else None) or (0,)
    return wanted


def _observed(workload: Object) -> bool:
    """Return whether its controller, if the kind has one that reports this, has observed the newest generation."""
    newest, status = workload["metadata"].get("generation", 0), within(workload, "status")
    seen = status.get("observedGeneration", 0 if workload["kind"] in COUNTS else newest)
    return not isinstance(seen, int) or seen >= newest


def awaited(item: Object) -> bool:
    """Return whether to wait for an object; one of an unknown kind may get a condition later."""
    return item["kind"] in COUNTS or item["kind"] in CONDITIONS or VERSIONS.get(item["kind"]) != item["apiVersion"]


def _by_conditions(item: Object) -> Done | Pending:
    """Return the progress of an object whose kind does not count pods."""
    found, status, last = conditions(item), within(item, "status"), CONDITIONS.get(item["kind"])
    if status.get("phase") == "Succeeded" or within(item, "spec").get("suspend"):
        return Done()
    asked = [last] if last else [kind for kind in COMMON_CONDITIONS if kind in found]
    missing = [kind for kind in asked if found.get(kind, {}).get("status") != "True"]
    changing = found.get("Reconciling", {}).get("status") == "True"
    if not missing and not changing:
        return Done()
    if status.get("failed"):
        return Pending(f"{status['failed']} attempts have failed")
    message = found.get("Reconciling" if changing else missing[0], {}).get("message", "")
    return Pending(f"it is not {missing[0] if missing else 'reconciled'} yet{f': {message}' if message else ''}")


def progress(rollout: Rollout, since: Mapping[str, datetime]) -> Done | Pending:
    """Return the progress of an object that has no problem."""
    workload, newest = rollout.workload, newest_pods(rollout)
    if not workload or not _observed(workload):
        return Pending(f"waiting for the {workload['kind'].lower() if workload else 'deployment'} controller")
    if terminating(workload):
        return Pending("it is being deleted")
    count = _count(workload)
    if count is None:
        return _by_conditions(workload)
    wanted, total, updated, available = count
    if updated > wanted:
        return Pending(f"surplus pods still terminating: {updated - wanted}")
    if updated < wanted:
        return Pending(f"{updated} of {wanted} new pods created")
    ready = sum(map(pod_ready, newest))
    if total > updated <= ready:
        return Pending(f"old pods still terminating: {total - updated}")
    if total > updated or available < wanted:
        reasons = sorted({pod_phase(pod) for pod in newest if not pod_ready(pod)} - {"Running", "Pending", "Terminating"})
        number = ready if total > updated else available
        return Pending(f"{number} of {wanted} pods ready" + (f" ({', '.join(reasons)})" if reasons else ""))
    fresh = [pod for pod in newest if started_since(pod, since.get(pod["spec"].get("nodeName", "")))]
    if len(fresh) < len(newest):
        return Pending(f"{len(fresh)} of {len(newest)} pods are back")
    if unsteady := [pod for pod in newest if not steady(pod, rollout.evidence.now, since.get(pod["spec"].get("nodeName", "")))]:
        return Pending(f"{name_of(unsteady[0])} crashed and has just been restarted")
    return Done(f"{available} of {wanted} pods ready")


class Revision(NamedTuple):
    """A revision of a deployment: its number, its pod template, and whether it has ready pods."""

    number: int
    template: Object
    serving: bool


def revision_before(rollout: Rollout) -> Revision | None:
    """Return the newest earlier revision that still has ready pods, else the newest earlier one, else None."""
    newest = _newest_template(rollout)
    numbered = [replica_set for replica_set in rollout.replica_sets if REVISION in replica_set["metadata"].get("annotations", {})]
    earlier = [replica_set for replica_set in numbered if _template(replica_set) != newest]
    serving = [replica_set for replica_set in earlier if replica_set.get("status", {}).get("readyReplicas")]
    chosen = max(serving or earlier, key=_revision, default=None)
    if chosen is None:
        return None
    template = copy.deepcopy(chosen["spec"]["template"])
    template["metadata"].get("labels", {}).pop("pod-template-hash", None)
    return Revision(_revision(chosen), template, bool(serving))


def _revision(replica_set: Object) -> int:
    return int(replica_set["metadata"]["annotations"][REVISION])


def newest_set(rollout: Rollout) -> str:
    """Return the name of the replica set that has the deployment's current template, or "" if it does not exist yet."""
    newest = _newest_template(rollout)
    return next((name_of(replica_set) for replica_set in rollout.replica_sets if _template(replica_set) == newest), "")


def newest_pods(rollout: Rollout) -> list[Object]:
    """Return the pods of the current template (all, if it is unknown), except ones that ended for good, such as evicted pods."""
    newest = _newest_template(rollout)
    running = [pod for pod in rollout.pods if pod.get("status", {}).get("phase") not in ENDED]
    return [pod for pod in running if newest in (None, _template(pod))]


def _template(item: Object) -> str:
    labels = item["metadata"].get("labels", {})
    return str(labels.get("pod-template-hash") or labels.get("controller-revision-hash", ""))


def _newest_template(rollout: Rollout) -> str | None:
    """Return the label value of the current template's pods: from the status, or from the replica set of the same revision.

    None if it is unknown.
    """
    if rollout.workload is None:
        return None
    if "updateRevision" in rollout.workload.get("status", {}):
        return str(rollout.workload["status"]["updateRevision"])
    revision = rollout.workload["metadata"].get("annotations", {}).get(REVISION)
    same = (
        replica_set
        for replica_set in rollout.replica_sets
        if replica_set["metadata"].get("annotations", {}).get(REVISION) == revision
    )
    return next(map(_template, same), None)
