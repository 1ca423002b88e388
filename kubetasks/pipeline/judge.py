"""How far a service is from the desired state: pure functions of what was seen. Durations are passed as arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubetasks.errors import RolloutError
from kubetasks.kube import readiness, service
from kubetasks.kube.client import Object
from kubetasks.kube.service import Address
from kubetasks.project.words import INV
from kubetasks.terminal.wait import Done, Failed, Pending, State

EFFECT_SECONDS = 2.0  # for kube-proxy to apply a change: until then the old pods may answer
SECOND_ADDRESS_SECONDS = 2.0  # after the first answer: not every machine can reach a load balancer's address
INSIDE = "is a ClusterIP: it answers inside the cluster"
NO_ADDRESS = Pending("no load balancer has given it an address yet")
UNANSWERED_SECONDS = 10.0  # at most, until a ready pod answers
NEWER = "A newer change is to be rolled out."
SUPERSEDED = Failed(NEWER, error=RolloutError(NEWER))


@dataclass(frozen=True)
class Exposure:
    """The service and the deployment (None if missing), every address at which the service may answer, and the port of each pod
    that gets its requests. `awaited`: a load balancer has yet to give it an address.
    """

    service: Object | None = None
    deployment: Object | None = None
    known: Sequence[Address] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    awaited: bool = False

    @property
    def ready(self) -> frozenset[str]:
        """The names of the pods that get the service's requests."""
        return frozenset(self.ports)

    @property
    def wanted(self) -> int:
        """How many pods the deployment wants."""
        return readiness.replicas(self.deployment)


def service_gone() -> Failed:
    return Failed("The service is gone.", f"{INV} expose")


def mismatch(exposed: Object, deployed: Object | None) -> Failed | None:
    """Return why the service can never select a pod of the deployment, or None."""
    missing = service.unselected(exposed, deployed["spec"]["template"]) if deployed else ""
    if not missing:
        return None
    return Failed(
        f"The service selects no pod of the deployment: its pods lack {missing}.",
        f"Fix the selector of the service, then {INV} expose",
    )


def exposed(seen: Exposure, answering: Sequence[Address], answered: float, lasting: float, *, balancing: bool) -> State:
    """Return Done if the service has all the addresses that it will get, and one of them answers.

    `answering` are the ones that answer, at least one for `answered` of the `lasting` seconds required. `balancing`: the load
    balancer still has time to give an address.
    """
    if seen.service is None:
        return service_gone()
    if not (seen.known or service.is_internal(seen.service)):
        return NO_ADDRESS
    if not seen.ready:
        if seen.wanted == 0:
            return NO_ADDRESS if seen.awaited and balancing else Done()
        return mismatch(seen.service, seen.deployment) or Pending("waiting for a ready pod")
    if not answering:
        return Pending(f"waiting for an answer at {' or '.join(address.url for address in seen.known)}")
    if seen.awaited:
        return NO_ADDRESS if balancing else Done()
    if answered < lasting:
        return Pending("waiting until the change is in effect")
    if len(answering) < len(seen.known) and answered < SECOND_ADDRESS_SECONDS:
        return Pending("waiting for the other address")
    return Done()


def endpoints(seen: Exposure) -> State:
    """Return Done if the service sends requests to as many pods as the deployment wants."""
    if seen.service is None:
        return service_gone()
    if len(seen.ready) != seen.wanted:
        pending = Pending(f"{len(seen.ready)} of {seen.wanted} endpoints ready")
        return mismatch(seen.service, seen.deployment) or pending
    return Done()


def no_good_answer(seen: Exposure, health: str, pod: str, why: str) -> tuple[str, str]:
    """Return a sentence and a hint about a ready pod that gives the API server no good answer."""
    reason = f"Pod {pod} is ready, but GET {health} at its port {seen.ports[pod]} gives no good answer: {why}."
    return reason, f"Fix the port of deployment and service, or the health path of the application; {INV} logs"


def unanswered(seen: Exposure, health: str, pod: str, why: str) -> State:
    """Return the state for a ready pod without a good answer: Failed after UNANSWERED_SECONDS, or Pending if it has no probe."""
    reason, hint = no_good_answer(seen, health, pod, why)
    containers = seen.deployment["spec"]["template"]["spec"]["containers"] if seen.deployment else []
    if not any("readinessProbe" in container for container in containers):
        return Pending(reason.rstrip("."))
    return Failed(reason, hint, "unanswered", pod, grace=UNANSWERED_SECONDS)


def nameless(url: str, health: str, pod_key: str) -> State:
    """Return the state for an answer that should name its pod but does not: Failed after UNANSWERED_SECONDS."""
    reason = f"GET {health} at {url} is answered, but not with a JSON object that names the pod as {pod_key!r}."
    return Failed(reason, "Fix the answer, or leave pod_key out", "nameless", url, grace=UNANSWERED_SECONDS)


def answer(got: Mapping[str, Any] | None, pod_key: str, ready: frozenset[str], build: str) -> State:
    """Return Done if the answer comes from a pod that should get requests and, if `build` is given, has that build id.

    Without a `pod_key` answers do not name their pod, and any answer is good.
    """
    if got is None:
        return Pending("a request had no answer")
    if not pod_key:
        return Done()
    pod = str(got[pod_key])
    if pod not in ready:
        return Pending("a terminating pod still gets requests")
    if build and got.get("build", build) != build:
        return Failed(f"Pod {pod} serves build {got['build']}, not {build}.", f"{INV} status; {INV} build deploy")
    return Done(pod)


def served(seen: Exposure, answered: frozenset[str]) -> State:
    """Return Done if every pod that gets requests has answered."""
    missing = len(seen.ready - answered)
    return Done() if not missing else Pending(f"{seen.wanted - missing} of {seen.wanted} pods have answered")
