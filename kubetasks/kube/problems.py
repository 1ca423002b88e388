"""What can be wrong with a rollout: how to tell, how long it may still heal, and what to do. Pure functions of the API's objects.

docs/problems.md has a paragraph for each code. The reasons of waiting containers are the kubelet's (its packages `images` and
`container`), Unschedulable is the scheduler's, and the conditions of a deployment are its controller's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from kubetasks.kube.client import Object

NODE_STOPPED = ("CrashLoopBackOff", "Unknown")  # why a container waits and how it ended, if its runtime did not see the end
NOT_READY_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/network-unavailable")
PULL_REFUSED = ("not found", "unauthorized", "denied", "manifest unknown", "no such host", "x509")  # another try would not help
UNANSWERED = (
    "connection refused",
    "deadline exceeded",
    "timeout",
    "timed out",
    "EOF",
    "reset by peer",
)  # of a probe, as Go says it
LOGS = "./inv logs"
IMAGE = "./inv build deploy; docs/existing.md for a cluster of others"
MANIFEST = "Fix k8s/deployment.yaml, then ./inv deploy"


class Patience(IntEnum):
    """How long a problem must last until it counts, in units of the setting INVOKE_APP_PATIENCE."""

    AT_ONCE = 0
    BRIEF = 1
    LONG = 10


@dataclass(frozen=True)
class Kind:
    """A kind of problem. `sentence` and `hint` are templates of {name}, {image}, {message}, {ending} and {fits}."""

    code: str
    patience: Patience
    sentence: str
    hint: str


KINDS = {
    kind.code: kind
    for kind in (
        Kind("deployment-gone", Patience.AT_ONCE, "The deployment is gone.", "./inv deploy"),
        Kind("image-never-pull", Patience.AT_ONCE, "Pod {name} does not run: the image {image} is not on the node.", IMAGE),
        Kind(
            "invalid-image-name",
            Patience.AT_ONCE,
            "Pod {name} does not run: {image} is not a valid image name.",
            MANIFEST,
        ),
        Kind("image-pull", Patience.LONG, "Pod {name} does not run: the image {image} cannot be pulled: {message}", IMAGE),
        Kind(
            "container-config",
            Patience.AT_ONCE,
            "Pod {name} does not run: its container needs what is not there: {message}.",
            MANIFEST,
        ),
        Kind(
            "container-create",
            Patience.LONG,
            "Pod {name} does not run: its container cannot be created: {message}.",
            MANIFEST,
        ),
        Kind("container-start", Patience.BRIEF, "Pod {name} does not run: its container cannot be started: {message}.", MANIFEST),
        Kind(
            "crash-loop",
            Patience.AT_ONCE,
            "Pod {name} does not run: its container keeps crashing ({ending}).",
            f"{LOGS} shows the output of the pods; ./inv rollback",
        ),
        Kind("not-ready", Patience.BRIEF, "Pod {name} runs and is not ready: {message}.", f"{LOGS}; ./inv rollback"),
        Kind("unschedulable", Patience.BRIEF, "Pod {name} fits on no node: {message}", "{fits}"),
        Kind(
            "quota",
            Patience.BRIEF,
            "The namespace's quota is used up: {message}.",
            "kubectl describe resourcequota shows what is used",
        ),
        Kind("pods-refused", Patience.BRIEF, "The cluster refuses pods of {name}: {message}.", MANIFEST),
        Kind(
            "timeout",
            Patience.AT_ONCE,
            "The rollout is not complete after {seconds} s: {message}.",
            "./inv status; INVOKE_APP_TIMEOUT=SECONDS waits longer",
        ),
        Kind("no-progress", Patience.AT_ONCE, "The rollout of {name} made no progress: {message}", f"./inv status; {LOGS}"),
    )
}

WAITING = {
    "ErrImageNeverPull": "image-never-pull",
    "InvalidImageName": "invalid-image-name",
    "ErrImagePull": "image-pull",
    "ImagePullBackOff": "image-pull",
    "CreateContainerConfigError": "container-config",
    "CreateContainerError": "container-create",
    "RunContainerError": "container-start",
    "CrashLoopBackOff": "crash-loop",
}


@dataclass(frozen=True)
class Problem:
    """A kind of problem at an object: `name` is that of the pod or the deployment, `container` a pod's or ""."""

    code: str
    name: str
    sentence: str
    hint: str
    patience: Patience
    container: str = ""


@dataclass(frozen=True)
class Evidence:
    """What is asked only if a pod does not start.

    `nodes` are all of them, None if they may not be seen. `answers` is what each pod's readiness probe got last, by pod.
    `delivered` is the image that the nodes have just been given: what the kubelet says of it may be from before that.
    """

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    nodes: Sequence[Object] | None = None
    answers: Mapping[str, str] = field(default_factory=dict)
    delivered: str = ""


def probe_answers(events: Sequence[Object]) -> dict[str, str]:
    """What each pod's readiness probe got last, by pod."""
    failed = [one for one in events if one.get("reason") == "Unhealthy" and one.get("message", "").startswith("Readiness")]
    return {event["involvedObject"]["name"]: event["message"] for event in sorted(failed, key=event_time)}


def event_time(event: Object) -> str:
    """When an event was seen last, as the API writes times."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def of_kind(code: str, name: str, container: str = "", patience: Patience | None = None, **facts: str) -> Problem:
    """A problem with the words of its kind. `patience` is the kind's own by default."""
    kind = KINDS[code]
    facts = {
        key: value.rstrip(". \n") if key == "message" and kind.sentence.endswith(".") else value for key, value in facts.items()
    }
    text = kind.sentence.format(name=name, **facts)
    return Problem(code, name, text, kind.hint.format(**facts), kind.patience if patience is None else patience, container)


def unschedulable(pod: Object) -> str | None:
    """The scheduler's message if the pod fits on no node now, otherwise None."""
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return str(condition.get("message", ""))
    return None


def overdue(pod: Object, now: datetime) -> str | None:
    """The container whose readiness probe has failed as often as it may since the container started, otherwise None."""
    probes = {one["name"]: one["readinessProbe"] for one in pod["spec"]["containers"] if "readinessProbe" in one}
    for container in pod.get("status", {}).get("containerStatuses", []):
        running, probe = container.get("state", {}).get("running"), probes.get(container["name"])
        if running and probe and not container.get("ready"):
            own = probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
            if now - datetime.fromisoformat(running["startedAt"]) > timedelta(seconds=own):
                return str(container["name"])
    return None


def of_pod(pod: Object, evidence: Evidence, *, releasing: bool = False, ready: int = 0) -> Problem | None:
    """Why a pod does not become ready, or None. A terminating pod has no problem.

    `releasing`: another pod is starting or ending, after which this one may have room. `ready` pods are well.
    """
    name = pod["metadata"]["name"]
    if pod["metadata"].get("deletionTimestamp"):
        return None
    status = pod.get("status", {})
    for container in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
        waiting = container.get("state", {}).get("waiting") or {}
        ended = (container.get("lastState", {}).get("terminated")) or {}
        reason = waiting.get("reason")
        if reason in WAITING and (reason, ended.get("reason")) != NODE_STOPPED:
            code, image, message = WAITING[reason], container.get("image", "?"), waiting.get("message", "")
            patience = None
            if code == "image-pull" and any(word in message for word in PULL_REFUSED):
                patience = Patience.BRIEF
            elif code == "image-never-pull" and image == evidence.delivered:
                patience = Patience.LONG
            return of_kind(
                code,
                name,
                container["name"],
                patience,
                image=image,
                message=message,
                ending=f"{ended.get('reason', 'ended')}, exit code {ended.get('exitCode', '?')}",
            )
    message = unschedulable(pod)
    if message is not None:
        fits = (
            f"./inv scale --replicas={ready}" if ready else "Lower resources.requests in k8s/deployment.yaml, then ./inv deploy"
        )
        healing = releasing or evidence.nodes is None or not all(map(_takes_pods, evidence.nodes))
        return of_kind("unschedulable", name, patience=Patience.LONG if healing else None, message=message, fits=fits)
    late = overdue(pod, evidence.now)
    if late:
        answer = evidence.answers.get(name, "")
        slow = not answer or any(word in answer for word in UNANSWERED)
        told = answer.partition(": ")[2] or answer or "its readiness probe has not succeeded"
        return of_kind("not-ready", name, late, Patience.LONG if slow else None, message=told)
    return None


def _takes_pods(node: Object) -> bool:
    taints = [taint["key"] for taint in node["spec"].get("taints", [])]
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", []))
    return ready and not any(key in NOT_READY_TAINTS for key in taints)
