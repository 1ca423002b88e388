"""Waiting for the application: until a rollout is complete, and until its pods get the requests."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from kubetasks.errors import ExposeError, RolloutError, TaskError
from kubetasks.kube import readiness
from kubetasks.kube.client import surviving
from kubetasks.kube.problems import Evidence
from kubetasks.kube.service import Address
from kubetasks.pipeline import diagnose, probe, state
from kubetasks.pipeline.run import Run
from kubetasks.pipeline.state import Rollout
from kubetasks.terminal import wait

STRANGER_REQUESTS = 10  # for each pod: misses one pod too many once in 20,000 times: e^-10
GLANCE_SECONDS = 0.3  # between two lists of the pods while nothing is wrong: one for each of their changes slows their start
PAUSE_FACTOR = 10  # a look at many pods, or among thousands of events, keeps the API server busy: it pauses ten times as long
SUPERSEDED = wait.Failed("Something newer is to be rolled out.")


class Look:
    """Looks at a rollout: at all of it, or, for a while after nothing was wrong, at the deployment alone."""

    def __init__(self, run: Run, delivered: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._delivered = delivered
        self._clock = clock
        self._state: wait.State | None = None
        self._until = 0.0  # when all of it is to be looked at again
        self._glanced = False
        self.found = Rollout(None, [], [], Evidence())

    def check(self) -> wait.State:
        """How far the rollout is."""
        self._glanced = False  # also if the API server is away
        if self._run.superseded():
            return SUPERSEDED
        deployed = state.deployment(self._run)
        known = isinstance(self._state, wait.Pending) and self._clock() < self._until
        self._glanced = known and deployed is not None and not readiness.complete(deployed)
        if self._state is None or not self._glanced:
            began = self._clock()
            self.found = state.rollout_of(self._run, deployed, self._delivered)
            self._state = state.rollout_state(self._run, self.found)
            ended = self._clock()
            self._until = ended + max(GLANCE_SECONDS, PAUSE_FACTOR * (ended - began))
        return self._state

    def pause(self, changed: Callable[[float], None], seconds: float) -> None:
        """Wait until something changes; after a glance, until all of the rollout is to be looked at again at the latest."""
        changed(min(seconds, max(0.0, self._until - self._clock())) if self._glanced else seconds)


def wait_for_rollout(run: Run, text: str, delivered: str = "") -> None:
    """Show `text` until the rollout is complete. `delivered` is the image that the nodes have just been given.

    Raises RolloutError, with a diagnosis.
    """
    namespace, timeout = run.settings.namespace, run.settings.timeout
    sources = [
        ("Deployment", namespace, {"fieldSelector": f"metadata.name={run.app.name}"}),
        ("Pod", namespace, {"labelSelector": run.app.selector}),
    ]
    look = Look(run, delivered)
    with run.report.step(text) as step:
        with run.kube.changes(sources) as changes:
            pause = partial(look.pause, changes.wait)
            end = wait.until(surviving(look.check), timeout=timeout, changed=pause, on_change=step.at)
        found = look.found
        if end is SUPERSEDED:
            raise RolloutError(SUPERSEDED.reason)
        if isinstance(end, wait.Done):
            return
        if isinstance(end, wait.Failed) and end.error:
            raise end.error
        problem = readiness.problem(*found) if isinstance(end, wait.Failed) else None
        detail = end.reason if isinstance(end, wait.Failed) else end.detail
        problem = problem or readiness.late(*found[:3], timeout, detail)
        screen = ""
        with suppress(TaskError):  # the cluster may be gone meanwhile: the sentence is known
            screen = diagnose.explain(run, problem, found).text()
        raise RolloutError(problem.sentence, problem.hint, screen)


def wait_until_served(run: Run, build: str = "") -> int:
    """Wait until the service has a ready endpoint for each replica and, if an address answers here, each of them answers.

    No other pod may answer, and each must do so with that build id, if one is given. How many replicas the deployment wants is
    read each time: an autoscaler may change it. Return how many pods have answered. A complete rollout is not yet traffic:
    kube-proxy needs a moment more, up to a second. Raises ExposeError.
    """
    app = run.app
    if state.find_service(run) is None:
        return 0
    seen: set[str] = set()
    chosen: Address | None = None

    def check() -> wait.State:
        nonlocal chosen
        if run.superseded():
            return SUPERSEDED
        found = state.find_service(run)
        if found is None:
            return wait.Failed("The service is gone.", "./inv expose")
        known, deployed, ready = state.addresses(run, found), state.deployment(run), state.ready_pods(run)
        wanted = readiness.replicas(deployed)
        if len(ready) != wanted:
            return state.mismatch(found, deployed) or wait.Pending(f"{len(ready)} of {wanted} endpoints ready")
        if wanted == 0:  # a terminating pod answers until its end if there is no other
            return wait.Pending("a pod still answers") if probe.first_answering(app, known) else wait.Done()
        chosen = chosen if chosen in known else probe.first_answering(app, known)
        if chosen is None:
            return wait.Pending("no address answers yet") if run.cluster.reachable else wait.Done()
        for _ in range(STRANGER_REQUESTS * wanted):
            answer = probe.ask(app, chosen.url, app.health)
            if answer is None:
                return wait.Pending("a request had no answer")
            pod = str(answer[app.pod_key])
            if pod not in ready:
                return wait.Pending("a terminating pod still gets requests")
            if build and answer.get("build", build) != build:
                return wait.Failed(f"Pod {pod} serves build {answer['build']}, not {build}.", "./inv status; ./inv build deploy")
            seen.add(pod)
        return wait.Done() if seen >= ready else wait.Pending(f"{len(seen & ready)} of {wanted} pods have answered")

    with run.report.step("Waiting for traffic") as step:
        wait.until_done(
            surviving(check),
            ExposeError,
            "Not every pod gets requests",
            state.LOGS,
            timeout=run.settings.timeout,
            on_change=step.at,
            longest_pause=0.1,
        )
    return len(seen)
