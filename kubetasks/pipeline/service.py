"""The service: exposed at an address that answers, asked, and deleted."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from kubetasks.errors import ExposeError, LeftoverError
from kubetasks.kube import manifests, objects, readiness, service
from kubetasks.kube.client import ApiError, surviving
from kubetasks.kube.service import Address
from kubetasks.pipeline import cluster, probe, state
from kubetasks.pipeline.probe import Spread
from kubetasks.pipeline.run import Run, one_at_a_time
from kubetasks.providers.base import OpenTunnel, Tunnels
from kubetasks.terminal import equivalents, wait

TAKEN = "port is already allocated"  # the API's words for a node port
SECOND_ADDRESS_SECONDS = 2.0  # after the first answer: not every machine can reach a load balancer's address
BALANCER_SECONDS = 60.0  # a load balancer whose image cannot be pulled gives no address
LEAST_REQUESTS = 60
WITHOUT_LOAD_BALANCER = "INVOKE_APP_TIMEOUT=SECONDS waits longer; without a load balancer: docs/existing.md"


@one_at_a_time
def expose(run: Run) -> list[Address]:
    """Give the deployment a service, and return the addresses that answer. Raises ExposeError, RolloutError, OwnershipError."""
    applied = apply(run)
    return [] if run.report.dry else wait_for_addresses(run, applied)


class Applied(NamedTuple):
    """Whether the service was there, and whether applying changed it."""

    there: bool = False
    changed: bool = False


def require_applicable(run: Run) -> None:
    """Raises SettingError if the manifest is not that of a service, OwnershipError if there is a service of others."""
    manifests.port_index(manifests.read_one(run.app, "service"), run.app)
    objects.there(run.kube, "Service", run.app.name, run.settings.namespace)


def apply(run: Run) -> Applied:
    """Apply the deployment's service. Raises RolloutError, OwnershipError, SettingError."""
    app, report, namespace = run.app, run.report, run.settings.namespace
    manifest = manifests.read_one(app, "service")
    port_index = manifests.port_index(manifest, app)
    if report.dry:
        report.equivalent(equivalents.expose(app, run.kubectl, port_index, run.provider.node_port))
        return Applied()
    state.require_deployment(run)
    there = objects.there(run.kube, "Service", app.name, namespace)
    run.agree()
    node_port = _free_node_port(run)
    report.equivalent(equivalents.expose(app, run.kubectl, port_index, node_port))
    with objects.of_file(app.manifests / "service.yaml"):
        try:
            changed = objects.apply(run.kube, manifests.service(manifest, app, namespace, node_port))
        except ApiError as error:
            if not node_port or TAKEN not in error.sentence:
                raise
            # another service was faster, and can be named now
            changed = objects.apply(run.kube, manifests.service(manifest, app, namespace, _free_node_port(run)))
    return Applied(there is not None, changed)


def wait_for_addresses(run: Run, applied: Applied) -> list[Address]:
    """Wait for the addresses of a service that was applied, and return those that answer. Raises ExposeError."""
    with run.report.step("Exposing" if applied.changed else "Already exposed") as step:
        answering = _wait_for_address(run, state.EFFECT_SECONDS if applied.there and applied.changed else 0, step.at)
    if run.cluster.load_balancer and not any(one.way == service.BALANCER for one in answering):
        run.report.say("No address of the load balancer answers so far.")
    return answering


def _free_node_port(run: Run) -> int | None:
    """The node port that is mapped to this machine, unless another service has it."""
    mapped = run.cluster.mapped_port
    if mapped is None:
        return None
    node_port, port = mapped
    owner = service.node_port_owner(run.kube.list("Service"), node_port, run.app.name, run.settings.namespace)
    if owner is None:
        return node_port
    metadata = owner["metadata"]
    run.report.say(
        f"Port {port} of 127.0.0.1 belongs to service {metadata['name']} in namespace {metadata['namespace']}:"
        " this service gets a load balancer address only."
    )
    return None


def _wait_for_address(run: Run, lasting: float, at: Callable[[str], None]) -> list[Address]:
    """The addresses that answer, for `lasting` seconds, or, if no pod is wanted, that would. Raises ExposeError."""
    result: list[Address] = []
    asked: list[Address] = []
    first_answer = 0.0
    timeouts = probe.growing_timeouts()
    until_balanced = time.monotonic() + min(BALANCER_SECONDS, run.settings.timeout / 2)

    def check() -> wait.State:
        nonlocal result, first_answer, asked, timeouts
        found = state.find_service(run)
        if found is None:
            return wait.Failed("The service is gone.", "./inv expose")
        known = state.addresses(run, found)
        awaited = run.cluster.load_balancer and not found["status"].get("loadBalancer", {}).get("ingress")
        no_address = wait.Pending("no load balancer has given it an address yet")
        if not known:
            return no_address
        ready = state.ready_pods(run)
        if not ready:
            result = known
            deployed = state.deployment(run)
            if readiness.replicas(deployed) == 0:
                return no_address if awaited else wait.Done()
            return state.mismatch(found, deployed) or wait.Pending("waiting for a ready pod")
        if known != asked:  # one that is new may drop the first connections, and gets its time too
            asked, timeouts, first_answer = known, probe.growing_timeouts(), 0.0
        # by pod: for a moment, the nodes still send requests to those of the service that had the address before
        result = probe.answering(run.app, known, next(timeouts), ready)
        if not result:
            first_answer = 0.0
            return wait.Pending(f"waiting for an answer at {' or '.join(one.url for one in known)}")
        first_answer = first_answer or time.monotonic()
        if awaited:
            return no_address if time.monotonic() < until_balanced else wait.Done()
        if time.monotonic() - first_answer < lasting:
            return wait.Pending("waiting until the change is in effect")
        if len(result) < len(known) and time.monotonic() - first_answer < SECOND_ADDRESS_SECONDS:
            return wait.Pending("waiting for the other address")
        return wait.Done()

    source = ("Service", run.settings.namespace, {"fieldSelector": f"metadata.name={run.app.name}"})
    with run.kube.changes([source]) as changes:
        wait.until_done(
            surviving(check),
            ExposeError,
            "The service is not reachable",
            WITHOUT_LOAD_BALANCER if run.provider.shared else state.LOGS,
            timeout=run.settings.timeout,
            changed=changes.wait,
            on_change=at,
            longest_pause=0.2,
        )
    return result


@one_at_a_time
def unexpose(run: Run) -> bool:
    """Delete the service and wait until no address answers; False if there was none. Raises OwnershipError, LeftoverError."""
    known = delete(run)
    if known:
        close(run, known)
    return known is not None


def delete(run: Run) -> list[Address] | None:
    """Delete the service; return the addresses that it had, or None if there was none. Raises OwnershipError, LeftoverError."""
    app, settings = run.app, run.settings
    if not run.report.equivalent(equivalents.unexpose(app, run.kubectl)):
        return []
    found = state.find_service(run) if cluster.runs(run) else None
    if found is None:
        return None
    objects.require_ours(run.kube, {"kind": "Service", **found})
    run.agree()
    known = state.addresses(run, found)
    with run.report.step("Deleting the service") as step:
        objects.delete(run.kube, "Service", app.name, settings.namespace, settings.timeout, step.at)
    return known


def close(run: Run, known: list[Address]) -> None:
    """Show that the addresses of a deleted service are closed. Raises LeftoverError."""
    with run.report.step("Waiting until its addresses are closed") as step:
        wait_until_closed(run, known, step.at)


def wait_until_closed(run: Run, known: list[Address], at: Callable[[str], None]) -> None:
    """Wait until none of the addresses of a deleted service answers. `at` gets what is missing. Raises LeftoverError."""

    def check() -> wait.State:
        answering = probe.answering(run.app, known, probe.CLOSED_SECONDS)
        return wait.Pending(f"{answering[0].url} still answers") if answering else wait.Done()

    wait.until_done(
        check,
        LeftoverError,
        "The service was deleted but its address is not closed",
        "./inv status",
        timeout=run.settings.timeout,
        on_change=at,
        longest_pause=0.1,
    )


def url(run: Run) -> str:
    """The URL that answers, or the preferred one if none does; "" under --dry. Raises ExposeError."""
    if not run.report.equivalent(run.provider.service_line(run.kubectl)):
        return ""
    return state.address(run).url


def tunnel(run: Run) -> None:
    """Keep a tunnel to the service's load balancer address open until Ctrl-C.

    Raises ExposeError, and SetupError or ClusterError if no tunnel can be opened.
    """
    provider, report = run.provider, run.report
    if not isinstance(provider, Tunnels):
        report.say(f"Cluster {provider.name} needs no tunnel: ./inv service prints the address.")
        return
    if not report.equivalent(provider.tunnel_line):
        return
    state.address(run)  # there is a service
    opened = False
    try:
        with provider.tunnel() as through:
            with report.step("Opening the tunnel") as step:
                found = _wait_for_tunnel(run, through, step.at)
            opened = True
            report.result(found.url)
            report.say("Ctrl-C closes the tunnel.")
            through.wait()
    except KeyboardInterrupt:
        if not opened:
            raise
        report.say("The tunnel is closed.")


def _wait_for_tunnel(run: Run, through: OpenTunnel, at: Callable[[str], None]) -> Address:
    """The address that answers through the tunnel. Raises ExposeError."""
    result: list[Address] = []

    def check() -> wait.State:
        nonlocal result
        problem = through.problem()
        if problem:
            return wait.Failed(f"The tunnel gives no address: {problem}")
        found = state.find_service(run)
        if found is None:
            return wait.Failed("The service is gone.", "./inv expose")
        known = [one for one in state.addresses(run, found) if one.way == service.BALANCER]
        if not known:
            return wait.Pending("no address yet")
        result = known
        ready = state.ready_pods(run)
        if not ready or probe.answering(run.app, known, pods=ready):
            return wait.Done()
        return wait.Pending(f"waiting for an answer at {known[0].url}")

    wait.until_done(
        check,
        ExposeError,
        "No address answers through the tunnel",
        state.LOGS,
        timeout=run.settings.timeout,
        on_change=at,
        longest_pause=0.2,
    )
    return result[0]


@dataclass(frozen=True)
class Traffic:
    """What `requests` requests to `url` met; `ready` is how many pods were ready."""

    url: str
    requests: int
    ready: int
    spread: Spread


def traffic(run: Run, requests: int | None) -> Traffic | None:
    """Send requests and see which pods answer; None under --dry. Raises ExposeError.

    Without a number, as many as miss none of the ready pods but for one run in a million, and LEAST_REQUESTS at least.
    """
    if run.report.dry:
        run.report.equivalent(equivalents.traffic(requests or LEAST_REQUESTS))
        return None
    state.require_addresses(run)
    ready = len(state.ready_pods(run))
    if not ready:
        raise ExposeError("No pod is ready to answer.", "./inv status shows why; ./inv scale starts some")
    address = state.answering_address(run).url
    number = requests or max(LEAST_REQUESTS, probe.enough(ready))
    run.report.equivalent(equivalents.traffic(number))
    with run.report.step(f"Sending {number} requests to {address}") as step:
        spread = probe.spread(run.app, address, number, lambda sent: step.at("", sent, number))
    return Traffic(address, number, ready, spread)
