"""The diagnosis on one screen: pure functions of API objects, events and logs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kubetasks.errors import ClusterError, EngineError, ExposeError, RolloutError, SettingError
from kubetasks.kube import readiness, template
from kubetasks.kube.client import UNAVAILABLE, Object, describe
from kubetasks.kube.kinds import COUNTS
from kubetasks.kube.problems import KINDS, Problem, event_object, event_time
from kubetasks.kube.readiness import Rollout
from kubetasks.kube.states import container_statuses, pod_ready

LINES = 24  # at most, to fit on one screen
LOG_LINES = 10
OTHERS = 3  # at most, of the other problems
WIDTH = 200  # characters of a value or of a log line, at most
HEALTHY = "healthy"
EXIT_CODES = {
    HEALTHY: 0,
    "progressing": 0,
    "engine-unavailable": EngineError.code,
    "manifests": SettingError.code,
    **dict.fromkeys(("cluster-missing", "cluster-stopped", "cluster-incomplete"), ClusterError.code),
    **dict.fromkeys((UNAVAILABLE, "api-refused", "namespace-missing"), ClusterError.code),
    "not-deployed": RolloutError.code,
    **dict.fromkeys(KINDS, RolloutError.code),
    **dict.fromkeys(("service-mismatch", "no-answer"), ExposeError.code),
}
INDENT = " " * 12
SHOWN = ("code", "object", "event", "probe", "wanted", "running", "changed", "serving")


@dataclass(frozen=True)
class Diagnosis:
    """A cause and its evidence. An unknown part is "" or empty.

    `code` is a key of EXIT_CODES (see docs/problems.md). `also` has the sentences of other problems, `log` the last lines of the
    log of `log_of`.
    """

    code: str
    sentence: str
    next: str = ""
    object: str = ""
    event: str = ""
    probe: str = ""
    wanted: str = ""
    running: list[str] = field(default_factory=list)
    changed: str = ""
    serving: str = ""
    also: list[str] = field(default_factory=list)
    log_of: str = ""
    log: list[str] = field(default_factory=list)
    details: str = ""

    @property
    def exit_code(self) -> int:
        """The exit code of a task that ends with this diagnosis."""
        return EXIT_CODES[self.code]

    def text(self) -> str:
        """Return at most LINES lines: the sentence, the known parts, and the next command."""
        parts = {name: getattr(self, name) for name in SHOWN} | {"running": ", ".join(self.running)}
        before = [self.sentence, *(f"  {name:<9} {_cut(value)}" for name, value in parts.items() if value)]
        before += [f"  also      {_cut(sentence)}" for sentence in self.also[:OTHERS]]
        if self.details:
            before.append(f"  details   {self.details}")
        after = [f"  next      {self.next}"] if self.next else []
        room = min(LOG_LINES, LINES - len(before) - len(after) - 1)
        if self.log:
            before += [f"  log       the last lines of {self.log_of}", *(INDENT + _cut(line) for line in self.log[-room:])]
        return "\n".join([*before, *after])


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 3]}..."


def event_line(event: Object) -> str:
    """Return the event as one line."""
    kind, name = event_object(event)
    return f"{event_time(event)} {event.get('type')} {kind.lower()}/{name} {event.get('reason')}: {event.get('message')}"


def log_source(problem: Problem, pods: Sequence[Object]) -> tuple[str, str, bool] | None:
    """Return the most telling log: pod, container, and whether it is from before the restart; None if nothing has run."""
    pod = _pod(problem, pods)
    if pod is None:
        return None
    for container in container_statuses(pod):
        if container["name"] == problem.container:
            state = container.get("state", {})
            if state.get("running") or state.get("terminated"):
                return problem.name, problem.container, False
            if container.get("lastState", {}).get("terminated"):
                return problem.name, problem.container, True
    return None


def decisive(events: Sequence[Object], problem: Problem, newest_set: str, kind: str) -> Object | None:
    """Return the newest warning about the object that has the problem, else its newest event, else None. `kind` is the kind of
    the object if it is not a pod.

    If pods could not be created, the events are the newest replica set's. Failed probes matter only for a running pod, and
    BackOff tells less than its cause.
    """
    of_pod = problem.container or problem.code in ("unschedulable", "volume-mount")
    about = ("Pod" if of_pod else kind, problem.name)
    if problem.code in ("quota", "pods-refused"):
        about = ("ReplicaSet", newest_set)
    of_object = [event for event in events if event_object(event) == about]
    warnings = [event for event in of_object if event.get("type") == "Warning"]
    running = problem.code in ("not-ready", "timeout")
    telling = [
        warning
        for warning in warnings
        if warning.get("reason") != "BackOff" and (running or warning.get("reason") != "Unhealthy")
    ]
    return max(telling or warnings or of_object, key=event_time, default=None)


def diagnose(
    problem: Problem,
    rollout: Rollout,
    events: Sequence[Object] = (),
    log: Sequence[str] = (),
    now: datetime | None = None,
) -> Diagnosis:
    """Assemble the evidence of the problem. `log` has the lines of `log_source`, `events` are the namespace's."""
    workload, pods, newest = rollout.workload, rollout.pods, readiness.newest_pods(rollout)
    counted = workload if workload and workload["kind"] in COUNTS else None
    pod = _pod(problem, pods)
    source = log_source(problem, pods)
    event = decisive(events, problem, readiness.newest_set(rollout), workload["kind"] if workload else "")
    return Diagnosis(
        code=problem.code,
        sentence=problem.sentence,
        next=problem.hint,
        object=_where(problem, pod, workload),
        event=_event(event, now or datetime.now(UTC)) if event else "",
        probe=_probe(pod, problem) if pod else "",
        wanted=", ".join(_images(found.spec) for found in template.of(workload)) if workload else "",
        running=sorted({_images(running["spec"]) for running in pods if pod_ready(running)}),
        changed=_revision(counted, newest) if counted else "",
        serving=_serving(pods, newest) if counted else "",
        log_of=f"{source[1]}{' before its restart' if source[2] else ''}" if source and log else "",
        log=list(log),
    )


def _pod(problem: Problem, pods: Sequence[Object]) -> Object | None:
    """Return the pod that has the problem, or None if it is the workload's."""
    return next((pod for pod in pods if pod["metadata"]["name"] == problem.name), None)


def _where(problem: Problem, pod: Object | None, workload: Object | None) -> str:
    if pod is None:
        return describe(workload) if workload else ""
    parts = [f"pod/{problem.name}"]
    if problem.container:
        parts.append(f"container {problem.container}")
    if pod["spec"].get("nodeName"):
        parts.append(f"node {pod['spec']['nodeName']}")
    return ", ".join(parts)


def _event(event: Object, now: datetime) -> str:
    times = (event.get("series") or {}).get("count") or event.get("count") or 1
    ago = max(0, round((now - event_time(event)).total_seconds()))
    return f"{event.get('reason', '')}{f' {times} times' if times > 1 else ''}, {ago} s ago: {event.get('message', '')}"


def _probe(pod: Object, problem: Problem) -> str:
    for container in pod["spec"]["containers"]:
        probe = container.get("readinessProbe")
        if probe and container["name"] == problem.container and problem.code == "not-ready":
            get = probe.get("httpGet")
            kind = f"GET {get.get('path', '/')} at port {get['port']}" if get else next(iter(probe))
            times = probe.get("failureThreshold", 3)
            seconds = f"every {probe.get('periodSeconds', 10)} s, {probe.get('timeoutSeconds', 1)} s each"
            return f"{kind} {seconds}, not ready after {times} failures"
    return ""


def _images(spec: Object) -> str:
    return ", ".join(str(container.get("image", "")) for container in spec["containers"])


def _revision(workload: Object, newest: Sequence[Object]) -> str:
    number = workload["metadata"].get("annotations", {}).get(readiness.REVISION)
    revision = f", now revision {number}" if number else ""
    ready = sum(map(pod_ready, newest))
    return f"{describe(workload)}{revision}: {ready} of {readiness.replicas(workload)} pods ready"


def _serving(pods: Sequence[Object], newest: Sequence[Object]) -> str:
    ready = [pod for pod in pods if pod_ready(pod)]
    older = [pod for pod in ready if pod not in newest]
    if not older:
        return _count(ready)
    return f"{_count(ready)}{'' if len(older) == len(ready) else f', {len(older)} of them'} of an earlier revision"


def _count(pods: Sequence[Object]) -> str:
    return "1 pod" if len(pods) == 1 else f"{len(pods) or 'no'} pods"
