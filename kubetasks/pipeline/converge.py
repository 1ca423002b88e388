"""Change the cluster into what is desired, and wait until it is: refuse, agree, apply, judge."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

from kubetasks.errors import ExposeError, SettingError
from kubetasks.kube import manifests, objects, readiness, service
from kubetasks.kube.client import ApiError, Object, describe
from kubetasks.kube.manifests import Manifest
from kubetasks.kube.readiness import Rollout
from kubetasks.kube.service import Address
from kubetasks.pipeline import desired, diagnose, job, judge, probe, seen
from kubetasks.pipeline.desired import Desired, Part, Place
from kubetasks.pipeline.judge import Exposure
from kubetasks.pipeline.run import Run
from kubetasks.terminal import wait
from kubetasks.terminal.door import At

STRANGER_REQUESTS = 10  # for each pod: misses one pod too many once in 20,000 times: e^-10
BALANCER_SECONDS = 60.0  # a load balancer whose image cannot be pulled gives no address
TAKEN = "port is already allocated"  # the API's words for a node port
UNKNOWN_FIELD = "typed patch object"  # its words, with status 500, for a field that the kind does not have
INVALID = (400, 422)  # the API server's answers to an object that it finds invalid
WITHOUT_LOAD_BALANCER = "INVOKE_APP_TIMEOUT=SECONDS waits longer; without a load balancer: docs/existing.md"


Serve = Literal["if changed", "always", "never"]  # when to wait until the pods answer


def converge(run: Run, wanted: Desired, build: str = "", serve: Serve = "if changed") -> Sequence[Address]:
    """Give the cluster what is wanted, all of it before the first wait.

    Whatever can be refused is, before anything is changed. In the end wait, as `serve` says, until each pod answers, with that
    build id if one is given. Return the service's addresses that answer, if one was wanted.

    Raises SettingError, ClusterError, OwnershipError, RolloutError with a diagnosis, and ExposeError.
    """
    provider = run.provider
    there = Place(run.settings.namespace, provider.delivered(wanted.image) if wanted.image else None, provider.node_port)
    found = run.manifests if wanted.image or wanted.exposed else []
    parts = desired.parts(run.app, found, wanted, there)
    with run.locked():
        before = run.do.unless_dry(lambda _: _allowed(run, wanted, parts)) or set()
        if wanted.image:
            there = replace(there, delivered=provider.deliver(wanted.image))
            provider.supply(manifests.other_images(found, run.app))
        if wanted.exposed:
            there = run.do.unless_dry(lambda _: replace(there, node_port=_free_node_port(run))) or there
        changed = _apply(run, found, wanted, there)
        if wanted.rolls_out:
            given = there.delivered.reference if there.delivered and not provider.shared else ""  # others' nodes get nothing
            wait_for_rollout(run, wanted.text(bool(changed - {run.app.service})), given)
        known: Sequence[Address] = ()
        if wanted.exposed:
            new, there_before = run.app.service in changed, run.app.service in before
            known = run.do.unless_dry(lambda _: wait_for_addresses(run, changed=new, before=there_before)) or []
        rolled = wanted.rolls_out and changed - {run.app.service}
        if serve == "always" or (rolled and serve == "if changed"):
            run.do.unless_dry(lambda _: wait_until_served(run, build))
        return known


def _allowed(run: Run, wanted: Desired, parts: Sequence[Part]) -> set[str]:
    """Let a person agree, unless something forbids the change; return the names of those objects that are there.

    Raises ClusterError, OwnershipError, RolloutError.
    """
    if wanted.image:
        seen.require_namespace(run)
    else:
        seen.require_deployment(run)
    items = [part.manifest.item for part in parts]
    found = [item for item in items if objects.there(run.kube, item["kind"], item["metadata"]["name"], run.settings.namespace)]
    run.agree()
    return {describe(item) for item in found}


def _apply(run: Run, found: Sequence[Manifest], wanted: Desired, there: Place) -> set[str]:
    """Apply the objects, then the replicas; return the names of those that changed, and "replicas" if they did.

    Before a job and before the application's own deployment, what they may need is waited for: other deployments, earlier jobs.
    """
    changed, awaited = set(), list[str]()
    for part in desired.parts(run.app, found, wanted, there):
        kind, _, name = part.manifest.name.partition("/")
        if kind == "job" or part.manifest.name == run.app.deployment:
            while awaited:
                wait_for_rollout(run, f"Waiting for deployment/{awaited[0]}", name=awaited.pop(0))
        elif kind == "deployment":
            awaited.append(name)
        item = desired.item_of(part, run.app, there.namespace)
        command = partial(desired.command_of, part, run.app, run.kubectl_flags)
        try:
            if job.run_once(run, item, command) if kind == "job" else _apply_one(run, item, command):
                changed.add(part.manifest.name)
        except ApiError as error:
            if there.node_port and TAKEN in error.sentence:
                _free_node_port(run)  # another service was faster, and can be named now
                return changed | _apply(run, found, wanted, replace(there, node_port=None))
            if error.status not in INVALID and UNKNOWN_FIELD not in error.sentence:
                raise
            where = part.manifest.file or f"{run.app.manifests or 'What is made'}: {part.manifest.name}"
            raise SettingError(f"{where}: {error.sentence}", "Fix the file, and run it again") from error
    if wanted.replicas is not None and _scale(run, wanted.replicas):
        changed.add("replicas")
    return changed


def _apply_one(run: Run, item: Object, command: Callable[[], str]) -> bool:
    return run.do(command, lambda _: objects.apply(run.kube, item)) or False


def _scale(run: Run, replicas: int) -> bool:
    command = run.kubectl("scale", f"deployments/{run.app.name}", f"--replicas={replicas}")
    return run.do(command, lambda _: objects.scale(run.kube, run.app.name, run.settings.namespace, replicas)) or False


def _free_node_port(run: Run) -> int | None:
    """The node port that is mapped to this machine, unless another service has it. Raises ExposeError without another address."""
    mapped = run.cluster.mapped_port
    if mapped is None:
        return None
    node_port, port = mapped
    owner = service.node_port_owner(run.kube.list("Service"), node_port, run.app.name, run.settings.namespace)
    if owner is None:
        return node_port
    metadata = owner["metadata"]
    taken = f"Port {port} of 127.0.0.1 belongs to service {metadata['name']} in namespace {metadata['namespace']}"
    if not run.cluster.load_balancer:
        raise ExposeError(f"{taken}, and there is no load balancer.", "Unexpose that one; or INVOKE_CLUSTER_NAME=NAME ./inv ...")
    run.report.say(f"{taken}: this service gets a load balancer address only.")
    return None


class RolloutCheck:
    """Checks how far the rollout of a deployment is; `found` is what it was when it was checked last."""

    def __init__(self, run: Run, delivered: str, name: str) -> None:
        self._run = run
        self._delivered = delivered
        self._name = name
        self.found = Rollout()

    def __call__(self) -> wait.State:
        if self._run.superseded():
            return judge.SUPERSEDED
        self.found = seen.rollout(self._run, self._delivered, self._name)
        return seen.rollout_state(self._run, self.found)


def wait_for_rollout(run: Run, text: str, delivered: str = "", name: str = "") -> None:
    """Show `text` until the rollout is complete. `delivered` is the image that the nodes have just been given; `name` is that of
    another deployment than the application's own.

    Raises RolloutError, with a diagnosis.
    """
    check, timeout = RolloutCheck(run, delivered, name), run.settings.timeout

    def rolled_out(at: At) -> None:
        end = wait.until(run.kube.surviving(check), timeout=timeout, on_change=at)
        diagnose.require_done(
            run,
            end,
            lambda: readiness.problem(check.found),
            lambda detail: readiness.late(check.found, timeout, detail),
            check.found,
        )

    run.do(run.kubectl("rollout", "status", f"deployment/{name or run.app.name}"), rolled_out, text)


class AddressCheck:
    """Checks which addresses of a service answer. `lasting` is for how many seconds one must do so."""

    def __init__(self, run: Run, lasting: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._lasting = lasting
        self._clock = clock
        self._until_balanced = clock() + min(BALANCER_SECONDS, run.settings.timeout / 2)
        self._known: list[Address] = []
        self._timeouts = probe.growing_timeouts()
        self._first_answer: float | None = None
        self.answering: list[Address] = []  # or, if no pod is wanted, those that would

    def __call__(self) -> wait.State:
        found = seen.exposure(self._run)
        if found.known and found.ready:
            if found.known != self._known:  # one that is new may drop the first connections, and gets its time too
                self._known, self._timeouts, self._first_answer = list(found.known), probe.growing_timeouts(), None
            # by pod: for a moment, the nodes still send requests to those of the service that had the address before
            self.answering = probe.answering(self._run.app, found.known, next(self._timeouts), found.ready)
            self._first_answer = (self._first_answer or self._clock()) if self.answering else None
            if not self.answering and (silent := self._silent(found)):
                return silent
        else:
            self.answering = list(found.known)
        now = self._clock()
        answered = now - self._first_answer if self._first_answer is not None else 0.0
        return judge.exposed(found, self.answering, answered, self._lasting, balancing=now < self._until_balanced)

    def _silent(self, found: Exposure) -> wait.State | None:
        """Why no address answers, if a pod shows it. On a cluster of others that needs a right more, and an address is enough."""
        app = self._run.app
        if app.pod_key and (nameless := probe.answering(replace(app, pod_key=""), found.known)):
            return judge.nameless(nameless[0].url, app.health, app.pod_key)
        asked = sorted(found.ready)[:1] if not self._run.provider.shared else []
        return seen.unanswered(self._run, found, asked)


def wait_for_addresses(run: Run, *, changed: bool, before: bool) -> Sequence[Address]:
    """Wait for the addresses of a service that was applied, and return those that answer. Raises ExposeError.

    `changed`: applying changed it; `before`: it was there.
    """
    check = AddressCheck(run, judge.EFFECT_SECONDS if before and changed else 0)
    with run.do.step("Exposing" if changed else "Already exposed") as at:
        wait.until_done(
            run.kube.surviving(check),
            ExposeError,
            "The service is not reachable",
            WITHOUT_LOAD_BALANCER if run.provider.shared else seen.LOGS,
            timeout=run.settings.timeout,
            on_change=at,
        )
    if run.cluster.load_balancer and not any(one.way == service.BALANCER for one in check.answering):
        run.report.say("No address of the load balancer answers so far.")
    return check.answering


class TrafficCheck:
    """Checks that each pod of the service answers, with that build id if one is given, and no other pod does.

    If answers do not name their pod, the API server asks each one, and the address must answer.
    """

    def __init__(self, run: Run, build: str) -> None:
        self._run = run
        self._build = build
        self._chosen: Address | None = None
        self.pods: frozenset[str] = frozenset()  # that have answered

    def __call__(self) -> wait.State:
        app = self._run.app
        if self._run.superseded():
            return judge.SUPERSEDED
        found = seen.exposure(self._run)
        state = judge.endpoints(found)
        if not isinstance(state, wait.Done):
            return state
        if found.wanted == 0:  # a terminating pod answers until its end if there is no other
            return wait.Pending("a pod still answers") if probe.first_answering(app, found.known) else wait.Done()
        if not app.pod_key:
            silent = seen.unanswered(self._run, found, sorted(found.ready - self.pods))
            if silent:
                return silent
            self.pods = found.ready
        if self._chosen not in found.known:
            self._chosen = probe.first_answering(app, found.known)
        if self._chosen is None:
            return wait.Pending("no address answers yet") if not self._run.provider.shared else wait.Done()
        for _ in range(STRANGER_REQUESTS * found.wanted):
            state = judge.answer(probe.ask(app, self._chosen.url, app.health), app.pod_key, found.ready, self._build)
            if not isinstance(state, wait.Done):
                return state
            self.pods |= {state.detail} if app.pod_key else set()
        return judge.served(found, self.pods)


def wait_until_served(run: Run, build: str = "") -> int:
    """Wait until the service has a ready endpoint for each replica and, if an address answers here, each of them answers.

    No other pod may answer, and each must do so with that build id, if one is given. How many replicas the deployment wants is
    read each time: an autoscaler may change it. Return how many pods have answered. A complete rollout is not yet traffic:
    kube-proxy needs a moment more, up to a second. Raises ExposeError.
    """
    if seen.find_service(run) is None:
        return 0
    check = TrafficCheck(run, build)
    text = "Waiting for traffic"
    if run.provider.shared and not probe.first_answering(run.app, seen.exposure(run).known):
        text = "Waiting for endpoints (no address answers from here)"
    with run.do.step(text) as at:
        wait.until_done(
            run.kube.surviving(check),
            ExposeError,
            "Not every pod gets requests",
            seen.LOGS,
            timeout=run.settings.timeout,
            on_change=at,
            pause=0.1,
        )
    return len(check.pods)
