"""The service: an address that answers from here, and the pods behind it."""

import json
import time
from collections.abc import Callable

from kubetasks import manifests, wait
from kubetasks.errors import ExposeError, LeftoverError
from kubetasks.kube import endpoints, objects, rollout
from kubetasks.kube.client import ApiError, Object
from kubetasks.kube.endpoints import Endpoint
from kubetasks.providers import kind_recipe
from kubetasks.settings import APP
from kubetasks.steps import cluster
from kubetasks.steps.session import Session

SLICES = f"kubernetes.io/service-name={APP}"
TAKEN = "port is already allocated"  # as the API says it of a node port
STRANGER_REQUESTS = 10  # for each pod: one pod too many behind the address goes unseen once in 20,000 times: e^-10
CLOSED_SECONDS = 0.3  # in which an address that is open answers: a closed one may swallow the question
OTHERS_SECONDS = 2.0  # that a second address gets once one answers: not every machine can reach a load balancer's


def find_service(session: Session) -> Object | None:
    """The service, if there is one."""
    return session.kube.get("Service", APP, session.settings.namespace)


def service_endpoints(session: Session, service: Object) -> list[Endpoint]:
    """Every URL that may answer from here."""
    addresses = []
    if session.settings.provider == "existing":
        addresses = [
            address["address"]
            for node in session.kube.list("Node")
            for address in node["status"].get("addresses", [])
            if address["type"] == "InternalIP"
        ]
    return endpoints.candidates(service, session.cluster.mapped_port, addresses)


def ready_pods(session: Session) -> set[str]:
    """The pods that the service sends requests to."""
    return rollout.ready_endpoints(session.kube.list("EndpointSlice", session.settings.namespace, labelSelector=SLICES))


def expose(session: Session) -> list[Endpoint]:
    """A service with an address that answers from here. Raises ExposeError, RolloutError, OwnershipError."""
    report, settings = session.report, session.settings
    if report.dry:
        report.mirror(_mirror_expose(session, kind_recipe.NODE_PORT if settings.provider == "kind" else None))
        return []
    session.require_deployed()
    node_port = _node_port(session)
    report.mirror(_mirror_expose(session, node_port))
    manifest = session.manifest("service")
    try:
        changed = objects.apply(session.kube, manifests.service(manifest, settings.namespace, node_port))
    except ApiError as error:
        if not node_port or TAKEN not in error.sentence:
            raise
        # another service was quicker: now it can be seen, and is named
        changed = objects.apply(session.kube, manifests.service(manifest, settings.namespace, _node_port(session)))
    with report.step("Exposing" if changed else "Exposed already") as step:
        return _wait_for_address(session, step.at)


def _mirror_expose(session: Session, node_port: int | None) -> str:
    patch = json.dumps([{"op": "add", "path": "/spec/ports/0/nodePort", "value": node_port}])
    return session.applied("service", *([f"kubectl patch --local -f - --type=json -o yaml -p '{patch}'"] if node_port else []))


def _node_port(session: Session) -> int | None:
    """The node port that is mapped to this machine, unless another service of the cluster has it."""
    mapped = session.cluster.mapped_port
    if mapped is None:
        return None
    for service in session.kube.list("Service"):
        metadata = service["metadata"]
        if (metadata["namespace"], metadata["name"]) == (session.settings.namespace, APP):
            continue
        if any(port.get("nodePort") == mapped[0] for port in service["spec"].get("ports", [])):
            session.report.say(
                f"Port {mapped[1]} of 127.0.0.1 belongs to service {metadata['name']} in namespace"
                f" {metadata['namespace']}: this one gets a load balancer's address alone."
            )
            return None
    return mapped[0]


def _wait_for_address(session: Session, at: Callable[[str], None]) -> list[Endpoint]:
    """The endpoints that answer, or, where no pod is to run, that would. Raises ExposeError."""
    settings = session.settings
    answering: list[Endpoint] = []
    first_answer = 0.0

    def check() -> wait.State:
        nonlocal answering, first_answer
        service = find_service(session)
        if service is None:
            return wait.Failed("The service is gone.", "./inv expose")
        known = service_endpoints(session, service)
        if not known or (settings.provider == "kind" and not service["status"].get("loadBalancer", {}).get("ingress")):
            return wait.Pending("waiting for the load balancer's address")
        if not ready_pods(session):
            answering = known
            deployed = session.deployed()
            idle = deployed is None or deployed["spec"].get("replicas", 1) == 0
            return wait.Done() if idle else wait.Pending("waiting for a pod to be ready")
        answering = [endpoint for endpoint in known if endpoints.ask(endpoint.url, endpoints.HEALTH)]
        if not answering:
            return wait.Pending("waiting for an answer")
        first_answer = first_answer or time.monotonic()
        if len(answering) < len(known) and time.monotonic() - first_answer < OTHERS_SECONDS:
            return wait.Pending("waiting for the other address")
        return wait.Done()

    source = ("Service", settings.namespace, {"fieldSelector": f"metadata.name={APP}"})
    with session.kube.changes([source]) as changes:
        end = wait.until(check, timeout=settings.timeout, changed=changes.wait, on_change=at, longest_pause=0.2)
    if isinstance(end, wait.Done):
        return answering
    if isinstance(end, wait.Failed):
        raise ExposeError(end.reason, end.hint)
    raise ExposeError(f"The service is not reachable after {settings.timeout:.0f} s: {end.detail}.", "./inv status; ./inv logs")


def wait_for_all(session: Session, replicas: int) -> None:
    """Until `replicas` pods are ready endpoints and, where the service answers from here, each and no other answers.

    A finished roll-out is not yet traffic: kube-proxy needs some tenths of a second more. Raises ExposeError.
    """
    settings = session.settings
    service = find_service(session)
    if service is None:
        return
    seen: set[str] = set()
    known = service_endpoints(session, service)
    url = ""

    def check() -> wait.State:
        nonlocal url
        ready = ready_pods(session)
        if len(ready) != replicas:
            return wait.Pending(f"{len(ready)} of {replicas} endpoints ready")
        if replicas == 0:  # a pod on its way out answers to its end, where no other does
            answering = any(endpoints.ask(end.url, endpoints.HEALTH) for end in known)
            return wait.Pending("a pod still answers") if answering else wait.Done()
        url = url or next((end.url for end in known if endpoints.ask(end.url, endpoints.HEALTH)), "")
        if not url:
            # another's cluster may have addresses that this machine cannot reach
            return wait.Done() if settings.provider == "existing" else wait.Pending("no address answers yet")
        for _ in range(STRANGER_REQUESTS * replicas):
            answer = endpoints.ask(url, endpoints.HEALTH)
            if answer is None or str(answer["pod"]) not in ready:
                return wait.Pending("a pod on its way out is still asked")
            seen.add(str(answer["pod"]))
        return wait.Done() if seen >= ready else wait.Pending(f"{len(seen)} of {replicas} pods have answered")

    with session.report.step("Waiting for traffic") as step:
        end = wait.until(check, timeout=settings.timeout, on_change=step.at, longest_pause=0.1)
        if isinstance(end, wait.Pending):
            raise ExposeError(f"After {settings.timeout:.0f} s {end.detail}.", "./inv status; ./inv logs")


def unexpose(session: Session) -> bool:
    """No service, and no address that answers; False where there was none. Raises OwnershipError, LeftoverError."""
    settings = session.settings
    if not session.report.mirror(f"{session.kubectl} delete service {APP}"):
        return True
    if not cluster.runs(session):
        return False
    service = find_service(session)
    if service is None:
        return False
    known = service_endpoints(session, service)

    def check() -> wait.State:
        answering = [end.url for end in known if endpoints.ask(end.url, endpoints.HEALTH, CLOSED_SECONDS)]
        return wait.Pending(f"{answering[0]} still answers") if answering else wait.Done()

    with session.report.step("Deleting the service") as step:
        deleted = objects.delete(session.kube, "Service", APP, settings.namespace, settings.timeout)
        end = wait.until(check, timeout=settings.timeout, on_change=step.at, longest_pause=0.1)
        if isinstance(end, wait.Pending):
            raise LeftoverError(f"The service is gone, and after {settings.timeout:.0f} s {end.detail}.", "./inv status")
        return deleted


def answering_url(session: Session) -> str:
    """The URL to prefer. Raises ExposeError where there is no service or none of its addresses is known."""
    service = find_service(session)
    if service is None:
        raise ExposeError(f"There is no service {APP} in namespace {session.settings.namespace}.", "./inv expose")
    known = service_endpoints(session, service)
    for endpoint in known:
        if endpoints.ask(endpoint.url, endpoints.HEALTH):
            return endpoint.url
    if not known:
        raise ExposeError("The service has no address yet.", "./inv expose waits for one")
    return known[0].url
