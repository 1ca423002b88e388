"""Wait for the effects of a change: objects become ready, addresses answer, pods get traffic. Checks read; `judge` decides."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from kubetasks.errors import ExposeError, LeftoverError
from kubetasks.kube import kinds, readiness, service
from kubetasks.kube.client import Object, describe
from kubetasks.kube.problems import Grace
from kubetasks.kube.readiness import Rollout
from kubetasks.kube.service import Address
from kubetasks.pipeline import diagnose, judge, probe
from kubetasks.pipeline.run import Run
from kubetasks.pipeline.seen import Seen
from kubetasks.project.application import Application
from kubetasks.project.words import DOCS, INV, INVOKE
from kubetasks.terminal import shell, wait
from kubetasks.terminal.door import At

REQUESTS_PER_POD = 10  # per pod, a surplus one included: misses that once in 20,000 times at most (e^-10)
WAIT = "5m"  # the timeout in the equivalent command
BALANCER_SECONDS = 60.0  # at most: a load balancer whose image cannot be pulled never gives an address


def _rereading(run: Run, check: Callable[[], wait.State]) -> Callable[[], wait.State]:
    """Wrap a wait's check: read the cluster again until it is Done, and fail if something newer is to be rolled out."""

    def look() -> wait.State:
        state: wait.State = judge.SUPERSEDED
        try:
            if not run.superseded():
                state = check()
            return state
        finally:
            if not isinstance(state, wait.Done):
                run.forget("seen")

    return run.kube.surviving(look)


def _unanswered(seen: Seen, app: Application, pods: Iterable[str]) -> wait.State | None:
    """Return the state of the first of these pods without a good answer, or None if all answer well. Raises ApiError."""
    silent = seen.silent(pods)
    return judge.unanswered(seen.exposure, app.health, *silent) if silent else None


class ReadyCheck:
    """A check of the progress of objects; `found` is the latest rollout of the object that the returned state is about.

    A crashing object may need another that is not ready yet: it fails only if it crashes again after the other is ready.
    `failing` are all rollouts that fail, starting with `found` if it does.
    """

    def __init__(self, run: Run, awaited: Sequence[Object], delivered: Collection[str]) -> None:
        self._run = run
        self._awaited = awaited
        self._delivered = delivered
        self._pending: set[str] = set()
        self._restarts: dict[str, int] = {}  # by object: its count when another was last not ready
        self.found = Rollout()
        self.failing: list[Rollout] = []

    def __call__(self) -> wait.State:
        found, states = dict[str, Rollout](), dict[str, wait.State]()
        for item in self._awaited:
            name, rollout = describe(item), self._run.seen.rollout_of(item)
            found[name] = replace(rollout, evidence=replace(rollout.evidence, delivered=self._delivered))
            states[name] = readiness.rollout_state(found[name], self._run.cluster.since, self._run.settings.grace_period)
        pending = {name for name, state in states.items() if isinstance(state, wait.Pending)}
        restarts = {name: readiness.restarts(rollout) for name, rollout in found.items()}
        self._restarts |= {name: number for name, number in restarts.items() if (pending | self._pending) - {name}}
        self._pending = pending
        name = readiness.deciding(states)
        self.found, state = found[name], states[name]
        prefix = f"{name}: " if len(states) > 1 else ""
        failing = [other for other, end in states.items() if isinstance(end, wait.Failed)]
        self.failing = [found[other] for other in sorted(failing, key=lambda other: other != name)]
        if isinstance(state, wait.Pending):
            return wait.Pending(f"{prefix}{state.detail}{f'; {failing[0]} may need it' if failing else ''}")
        if isinstance(state, wait.Failed) and state.code in readiness.RECOVERABLE and name in self._restarts:
            if state.code != readiness.CRASH_LOOP:  # what it lacked exists now: Kubernetes retries soon
                return replace(state, grace=max(state.grace, Grace.LONG * self._run.settings.grace_period))
            if restarts[name] <= self._restarts[name]:
                return wait.Pending(f"{prefix}its container is being restarted")
        return state


def wait_until_ready(run: Run, text: str, awaited: Sequence[Object], delivered: Collection[str] = ()) -> None:
    """Show `text` until these objects are ready. `delivered` are the images that were just loaded into the nodes.

    Raises RolloutError, with a diagnosis.
    """
    check, timeout = ReadyCheck(run, awaited, delivered), run.settings.timeout

    def ready(at: At) -> None:
        end = wait.until(_rereading(run, check), timeout=timeout, on_change=at)
        diagnose.require_done(run, end, check.failing or [check.found])

    counted = [run.kubectl("rollout", "status", describe(item)) for item in awaited if item["kind"] in kinds.COUNTS]
    conditions = [(kinds.CONDITIONS[item["kind"]], describe(item)) for item in awaited if item["kind"] in kinds.CONDITIONS]
    ending = [run.kubectl("wait", f"--for=condition={word}", name, f"--timeout={WAIT}") for word, name in conditions]
    run.do("\n".join(map(shell.line, [*ending, *counted])), ready, text)


class AddressCheck:
    """A check of which addresses of a service answer. One must answer for `lasting` seconds."""

    def __init__(self, run: Run, lasting: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._lasting = lasting
        self._clock = clock
        self._until_balanced = clock() + min(BALANCER_SECONDS, run.settings.timeout / 2)
        self._known: list[Address] = []
        self._timeouts = probe.growing_timeouts()
        self._first_answer: float | None = None
        self.answering: list[Address] = []  # or, while no pod is ready, all known addresses

    def __call__(self) -> wait.State:
        seen = self._run.seen
        found = seen.exposure
        if found.ready and service.is_internal(found.service):
            return _unanswered(seen, self._run.app, sorted(found.ready)) or wait.Done()
        if found.known and found.ready:
            if found.known != self._known:  # a new one may drop its first connections: start over
                self._known, self._timeouts, self._first_answer = list(found.known), probe.growing_timeouts(), None
            # by pod: the address may briefly route to the previous service's pods
            self.answering = probe.answering(self._run.app, found.known, next(self._timeouts), found.ready)
            self._first_answer = (self._first_answer or self._clock()) if self.answering else None
            if not self.answering and (silent := self._silent(seen)):
                return silent
        else:
            self.answering = list(found.known)
        now = self._clock()
        answered = now - self._first_answer if self._first_answer is not None else 0.0
        return judge.exposed(found, self.answering, answered, self._lasting, balancing=now < self._until_balanced)

    def _silent(self, seen: Seen) -> wait.State | None:
        """Return why no address answers, if known. On an existing cluster no pod is asked: that would need one more right."""
        app, exposed = self._run.app, seen.exposure
        if app.pod_key and (nameless := probe.answering(replace(app, pod_key=""), exposed.known)):
            return judge.nameless(nameless[0].url, app.health, app.pod_key)
        asked = sorted(exposed.ready)[:1] if not self._run.provider.shared else []
        return _unanswered(seen, app, asked)


def wait_for_addresses(run: Run, *, changed: bool, before: bool) -> Sequence[Address]:
    """Wait for the addresses of an applied service, and return the ones that answer. Raises ExposeError.

    `changed`: applying it changed it; `before`: it existed before that.
    """
    longer = f"{INVOKE}_APP_TIMEOUT=SECONDS waits longer; without a load balancer: {DOCS}/clusters.md"
    check = AddressCheck(run, judge.EFFECT_SECONDS if before and changed else 0)
    text, hint = "Exposing" if changed else "Already exposed", longer if run.provider.shared else f"{INV} status; {INV} logs"
    run.wait(text, _rereading(run, check), ExposeError, "The service is not reachable", hint)
    if service.is_internal(run.seen.service):
        run.report.say(f"{run.app.service} {judge.INSIDE}; {INV} service forwards a port to it.")
    elif run.seen.balanced and not any(address.way == service.BALANCER for address in check.answering):
        run.report.say("No address of the load balancer answers so far.")
    return check.answering


class TrafficCheck:
    """A check that each pod of the service answers, with build id `build` if it is not "", and that no other pod does. If answers
    name no pod or the service is a ClusterIP, the API server asks each pod. Except for a ClusterIP or on an existing cluster, an
    address must answer too.
    """

    def __init__(self, run: Run, build: str) -> None:
        self._run = run
        self._build = build
        self._chosen: Address | None = None
        self.pods: frozenset[str] = frozenset()  # the pods that have answered

    def __call__(self) -> wait.State:
        app = self._run.app
        seen = self._run.seen
        found = seen.exposure
        state = judge.endpoints(found)
        if not isinstance(state, wait.Done):
            return state
        if found.wanted == 0:  # without other pods, a terminating one still gets requests
            return wait.Pending("a pod still answers") if probe.first_answering(app, found.known) else wait.Done()
        internal = service.is_internal(found.service)
        if internal or not app.pod_key:
            silent = _unanswered(seen, app, sorted(found.ready - self.pods))
            if silent:
                return silent
            self.pods = found.ready
        if self._chosen not in found.known:
            self._chosen = probe.first_answering(app, found.known)
        if self._chosen is None:
            return wait.Done() if internal or self._run.provider.shared else wait.Pending("no address answers yet")
        for _ in range(REQUESTS_PER_POD * (found.wanted + 1)):
            state = judge.answer(probe.ask(app, self._chosen.url, app.health), app.pod_key, found.ready, self._build)
            if not isinstance(state, wait.Done):
                return state
            self.pods |= {state.detail} if app.pod_key else set()
        return judge.served(found, self.pods)


def wait_until_served(run: Run, build: str = "") -> int:
    """Wait until the service has a ready endpoint for each replica and, if an address answers from here, each pod answers.

    No other pod may answer, and each answer must have build id `build`, if given. The number of replicas is read each time, as an
    autoscaler may change it. A complete rollout does not imply traffic: kube-proxy needs up to a second more. Return how many
    pods have answered; 0 without a service. Raises ExposeError.
    """
    if run.seen.service is None:
        return 0
    check = TrafficCheck(run, build)
    text = "Waiting for traffic"
    if run.provider.shared and not probe.first_answering(run.app, run.seen.addresses):
        text = "Waiting for endpoints (no address answers from here)"
    hint = f"{INV} status; {INV} logs"
    run.wait(text, _rereading(run, check), ExposeError, "Not every pod gets requests", hint, pause=0.1)
    return len(check.pods)


def wait_until_closed(run: Run, known: Sequence[Address]) -> None:
    """Wait until no address of the deleted service answers. Raises LeftoverError."""

    def closed() -> wait.State:
        answering = probe.answering(run.app, known, probe.CLOSED_SECONDS)
        return wait.Pending(f"{answering[0].url} still answers") if answering else wait.Done()

    late = "The service was deleted but its address is not closed"
    run.wait("Waiting until its addresses are closed", closed, LeftoverError, late, f"{INV} status", pause=0.1)
