"""The problems of a rollout: how to detect each, how long it may take to heal, and what to do. Pure functions of API objects.

docs/problems.md has a paragraph on each code. A waiting container's reason comes from the kubelet (its packages `images` and
`container`), Unschedulable from the scheduler, and a deployment's conditions from the deployment controller.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import NamedTuple

from kubetasks.kube.client import Object
from kubetasks.kube.states import END_UNKNOWN, condition, container_statuses, terminating
from kubetasks.project.words import DEPLOYMENT, DOCS, INV, INVOKE, MENDED

NODE_STOPPED = ("CrashLoopBackOff", END_UNKNOWN)  # waiting and termination reasons, if the runtime did not see the end
NOT_READY_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/network-unavailable")
PULL_REFUSED = ("not found", "unauthorized", "denied", "manifest unknown", "no such host", "x509")  # a retry would not help
# event reasons of the kubelet and of the attach controller, each with its problem
NOT_CREATED = {"FailedMount": "volume-mount", "FailedAttachVolume": "volume-mount", "FailedCreatePodSandBox": "container-create"}
USUAL_SECONDS = 3.0  # an ordinary pod is created within one second, and ready within another
UNANSWERED = ("refused", "exceeded", "timeout", "timed out", "EOF", "reset by", "no route", "unreachable")  # Go's words
INSUFFICIENT, CLAIM = "Insufficient", "persistentvolumeclaim"  # the scheduler's words for resources and for a claim
CLIENT_ERROR = "statuscode: 4"  # the start of the kubelet's words for status codes 400 to 499
NOT_STARTED = ("StartError", "ContainerCannotRun")  # termination reasons if the program could not be started
NO_COMMAND = "no command specified"  # the runtime's words; a busy node is never the cause
KUBELET_STARTS = ("have not yet been read at least once", "failed to sync")  # the kubelet's words for what it is still reading
ADMITTED_LATER = ("failed calling webhook", "error looking up service account")  # the API server's words for what comes up later
WORDS = {"inv": INV, "invoke": INVOKE, "docs": DOCS, "mended": MENDED}
IMAGE = (
    "{inv} build deploy, if the project builds the image ({docs}/application.md#several-images); "
    "otherwise correct its name, or docker pull it"
)
NOT_READY = "{inv} logs; {back}. If the probe asks the wrong port or path: fix {mended}"
MANIFEST = "Fix {mended}, then {inv} deploy"


class Grace(IntEnum):
    """A grace period: how long a problem must last before it counts, in units of the setting INVOKE_APP_GRACE_PERIOD."""

    AT_ONCE = 0
    BRIEF = 1
    SOME = 5
    LONG = 10


@dataclass(frozen=True)
class Kind:
    """A kind of problem. `sentence` and `hint` are templates for {name} and the facts passed to `of_kind`.

    `hint` may use WORDS too.
    """

    code: str
    grace: Grace
    sentence: str
    hint: str


KINDS = {
    kind.code: kind
    for kind in (
        Kind("gone", Grace.AT_ONCE, "What was deployed is gone.", "{inv} deploy"),
        Kind("image-never-pull", Grace.AT_ONCE, "Pod {name} is not running: the image {image} is not on the node.", IMAGE),
        Kind("invalid-image-name", Grace.AT_ONCE, "Pod {name} is not running: {image} is not a valid image name.", MANIFEST),
        Kind("image-pull", Grace.LONG, "Pod {name} is not running: the image {image} cannot be pulled: {message}.", IMAGE),
        Kind(
            "container-config",
            Grace.AT_ONCE,
            "Pod {name} is not running: something that its container needs is missing: {message}.",
            MANIFEST,
        ),
        Kind(
            "volume-mount",
            Grace.LONG,  # the kubelet tries again after half a second, then ever more rarely
            "Pod {name} is not running: a volume cannot be mounted: {message}.",
            MANIFEST,
        ),
        Kind("container-create", Grace.LONG, "Pod {name} is not running: its container cannot be created: {message}.", MANIFEST),
        Kind(
            "container-start",
            Grace.BRIEF,
            "Pod {name} is not running: its container cannot be started: {message}.",
            "Fix CMD in the Dockerfile, or {mended}, then {inv} build deploy",
        ),
        Kind(
            "crash-loop", Grace.AT_ONCE, "Pod {name} is not running: its container keeps crashing ({ending}).", "{first}; {back}"
        ),
        Kind("not-ready", Grace.BRIEF, "Pod {name} is running but not ready: {message}.", NOT_READY),
        Kind("unschedulable", Grace.BRIEF, "Pod {name} fits on no node: {message}.", "{fits}"),
        Kind(
            "quota",
            Grace.SOME,  # the replica set tries again more and more rarely
            "The namespace's quota is used up: {message}.",
            "Raise the quota, or run fewer pods: {inv} scale --replicas=NUMBER",
        ),
        Kind("pods-refused", Grace.BRIEF, "The cluster refuses pods of {name}: {message}.", MANIFEST),
        Kind("failed", Grace.AT_ONCE, "{what} failed: {message}.", "Fix the cause; {inv} deploy runs it again"),
        Kind(
            "timeout",
            Grace.AT_ONCE,
            "The rollout has made no progress for {seconds} s: {message}.",
            "{inv} status; {invoke}_APP_TIMEOUT=SECONDS waits longer",
        ),
        Kind("paused", Grace.BRIEF, "The rollout of {name} is paused.", "{kubectl} rollout resume deployment/{name}"),
        Kind("no-progress", Grace.BRIEF, "The rollout of {name} made no progress: {message}.", "{inv} status; {inv} logs"),
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
    """A problem of an object: `name` is the pod or the workload, `container` the pod's container; each may be ""."""

    code: str
    name: str
    sentence: str
    hint: str
    grace: Grace
    container: str = ""


@dataclass(frozen=True)
class Evidence:
    """Evidence that is collected only if a pod does not start.

    `nodes` are all nodes, or None if they were not needed or may not be listed. By pod name, `answers` has the time and message
    of the last failed readiness probe, `failures` the problem, and its message, of a pod that could not be created.
    `delivered` are images that were just loaded into the nodes: the kubelet's status may be older than that.
    `kubectl` is the start of a command line for the same cluster and namespace.
    """

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    nodes: Sequence[Object] | None = None
    answers: Mapping[str, tuple[datetime, str]] = field(default_factory=dict)
    failures: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    delivered: Collection[str] = ()
    kubectl: str = "kubectl"


class Unready(NamedTuple):
    """A running container that is not ready: for how many seconds, and how many its readiness probe allows."""

    container: str
    lasted: float
    allowed: float

    @property
    def unusual(self) -> bool:
        """Whether it has lasted long enough to look up the probe's last failure."""
        return self.lasted > min(self.allowed, USUAL_SECONDS)


def probe_answers(events: Sequence[Object]) -> dict[str, tuple[datetime, str]]:
    """Return the time and message of each pod's last failed readiness probe, by pod name."""
    failed = [
        event for event in events if event.get("reason") == "Unhealthy" and event.get("message", "").startswith("Readiness")
    ]
    return {event_object(event)[1]: (event_time(event), event["message"]) for event in sorted(failed, key=event_time)}


def creation_failures(events: Sequence[Object]) -> dict[str, tuple[str, str]]:
    """Return the newest problem that keeps each pod from being created, and its message, by pod name."""
    failed = [event for event in events if event.get("reason") in NOT_CREATED]
    return {
        event_object(event)[1]: (NOT_CREATED[event["reason"]], event.get("message", ""))
        for event in sorted(failed, key=event_time)
    }


def event_object(event: Object) -> tuple[str, str]:
    """Return the kind and name of the object that an event is about."""
    about = event.get("involvedObject", {})
    return about.get("kind", ""), about.get("name", "")


def event_time(event: Object) -> datetime:
    """Return when an event was last seen; the earliest possible time if it does not say."""
    series = event.get("series") or {}
    seen = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return datetime.fromisoformat(seen) if seen else datetime.min.replace(tzinfo=UTC)


def of_kind(code: str, name: str, container: str = "", grace: Grace | None = None, **facts: str) -> Problem:
    """Return a problem with its kind's sentence and hint. `grace` defaults to the kind's own."""
    kind = KINDS[code]
    values = {key: " ".join(value.split()).rstrip(".") for key, value in facts.items()}
    text, hint = kind.sentence.format(name=name, **values), kind.hint.format(name=name, **WORDS, **values)
    return Problem(code, name, text, hint, kind.grace if grace is None else grace, container)


def unschedulable(pod: Object) -> str | None:
    """Return the scheduler's message if the pod currently fits on no node, otherwise None."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("reason") != "Unschedulable" or terminating(pod):
        return None
    return str(scheduled.get("message", ""))


def creating(pod: Object, now: datetime) -> bool:
    """Return whether the pod, though scheduled, still lacks its volumes or network after longer than usual."""
    scheduled = condition(pod, "PodScheduled")
    since = scheduled.get("lastTransitionTime")
    if scheduled.get("status") != "True" or not since or terminating(pod):
        return False
    late = now - datetime.fromisoformat(since) > timedelta(seconds=USUAL_SECONDS)
    return late and condition(pod, "PodReadyToStartContainers").get("status") == "False"


def unready(pod: Object, now: datetime) -> Unready | None:
    """Return the first running container that has not passed its readiness probe, or None."""
    if terminating(pod):
        return None
    probes = {
        container["name"]: container["readinessProbe"] for container in pod["spec"]["containers"] if "readinessProbe" in container
    }
    changed = condition(pod, "Ready").get("lastTransitionTime")
    for container in pod.get("status", {}).get("containerStatuses", []):
        running, probe = container.get("state", {}).get("running"), probes.get(container["name"])
        if running and probe and not container.get("ready") and container.get("started") is not False:  # False: startup probe
            own = probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
            since = max(datetime.fromisoformat(begun) for begun in (running["startedAt"], changed) if begun)
            return Unready(str(container["name"]), (now - since).total_seconds(), own)
    return None


def of_pod(
    pod: Object, evidence: Evidence, *, releasing: bool = False, fitting: int = 0, revertible: bool = False
) -> Problem | None:
    """Return why a pod does not become ready, or None. A terminating pod has no problem.

    `releasing`: another pod is starting or terminating, which may make room. `fitting` pods of the same template have a node: the
    hint suggests that number, unless it is 0. `revertible`: there is an earlier revision.
    """
    name = pod["metadata"]["name"]
    if terminating(pod):
        return None
    back = f"{INV} rollback" if revertible else f"{INV} build deploy"
    for container in container_statuses(pod):
        problem = _of_container(container, name, evidence.delivered, back)
        if problem:
            return problem
    message = unschedulable(pod)
    if message is not None:
        less = f"Lower resources.requests in {DEPLOYMENT}, then {INV} deploy"
        if INSUFFICIENT not in message:  # a volume, a taint or node labels: fewer pods would not help
            less, fitting = MANIFEST.format(mended=MENDED, inv=INV), 0
        fits = f"{INV} scale --replicas={fitting}" if fitting else less
        healing = releasing or evidence.nodes is None or not all(map(_takes_pods, evidence.nodes)) or CLAIM in message.lower()
        return of_kind("unschedulable", name, grace=Grace.LONG if healing else None, message=message, fits=fits)
    if name in evidence.failures and creating(pod, evidence.now):
        code, message = evidence.failures[name]
        return of_kind(code, name, message=message)
    answer = _answer(pod, evidence)
    late = unready(pod, evidence.now)
    # a client error means that the server is up but lacks the probe's path: waiting for the probe's own time would not help
    if late and (late.lasted > late.allowed or CLIENT_ERROR in answer):
        slow = not answer or any(word in answer for word in UNANSWERED)
        message = answer.partition(": ")[2] or answer.rstrip(": ") or "its readiness probe has not succeeded"
        return of_kind("not-ready", name, late.container, Grace.LONG if slow else None, message=message, back=back)
    return None


def _of_container(container: Object, pod: str, delivered: Collection[str], back: str) -> Problem | None:
    state, ended = container.get("state", {}), container.get("lastState", {}).get("terminated") or {}
    waiting, just = state.get("waiting") or {}, state.get("terminated") or {}
    if just.get("reason") in NOT_STARTED:
        return of_kind("container-start", pod, container["name"], message=just.get("message") or "no message")
    reason, message, image = waiting.get("reason"), waiting.get("message") or "no message", container.get("image", "?")
    exited = bool(just.get("exitCode") and container.get("restartCount"))  # the kubelet does not report the back-off yet
    if exited:
        reason, ended = "CrashLoopBackOff", just
    if reason not in WAITING or (reason, ended.get("reason")) == NODE_STOPPED:
        return None
    code, grace = "container-start" if NO_COMMAND in message else WAITING[reason], Grace.SOME if exited else None
    reading = code == "container-config" and any(words in message for words in KUBELET_STARTS)
    if code == "crash-loop" and ended.get("reason") in NOT_STARTED:
        code, message, grace = "container-start", ended.get("message") or message, Grace.AT_ONCE
    elif code == "image-pull" and any(word in message for word in PULL_REFUSED):
        grace = Grace.BRIEF
    elif reading or (code == "image-never-pull" and image in delivered):
        grace = Grace.LONG
    if code == "image-pull":
        message = _last_cause(message)
    ending = f"{ended.get('reason', 'ended')}, exit code {ended.get('exitCode', '?')}"
    first = f"{INV} logs"
    if ended.get("reason") == "OOMKilled":
        first = f"Raise resources.limits.memory in {DEPLOYMENT}, then {INV} deploy"
    return of_kind(code, pod, container["name"], grace, image=image, message=message, ending=ending, first=first, back=back)


def _last_cause(message: str) -> str:
    """Return the last of the runtime's chained causes, which all repeat the image, with the registry that was asked."""
    registry = re.search(r'"https?://([^/"]+)/', message)
    cause = message.rpartition(": ")[2]
    return f"{cause} ({registry[1]})" if registry else cause


def _answer(pod: Object, evidence: Evidence) -> str:
    """Return the message of the last failed readiness probe since all running containers started, or ""."""
    at, answer = evidence.answers.get(pod["metadata"]["name"], (None, ""))
    running = [
        container["state"]["running"]
        for container in pod.get("status", {}).get("containerStatuses", [])
        if "running" in container.get("state", {})
    ]
    return answer if at and all(at >= datetime.fromisoformat(container["startedAt"]) for container in running) else ""


def _takes_pods(node: Object) -> bool:
    taints = [taint["key"] for taint in node["spec"].get("taints", [])]
    return condition(node, "Ready").get("status") == "True" and not any(key in NOT_READY_TAINTS for key in taints)
