"""The service: its address, a tunnel to it, and who answers there."""

from collections.abc import Callable
from typing import Any

from kubetasks.errors import ExposeError
from kubetasks.kube import service
from kubetasks.kube.service import Address
from kubetasks.pipeline import judge, probe, seen
from kubetasks.pipeline.run import Run
from kubetasks.providers.base import OpenTunnel, Tunnels
from kubetasks.terminal import equivalents, wait

LEAST_REQUESTS = 60


def url(run: Run) -> str:
    """The URL that answers, or the preferred one if none does; "" under --dry. Raises ExposeError."""
    if not run.report.equivalent(run.provider.service_line(run.kubectl)):
        return ""
    return seen.address(run).url


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
    seen.address(run)  # there is a service
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


class TunnelCheck:
    """Checks whether the load balancer's address answers through the tunnel."""

    def __init__(self, run: Run, through: OpenTunnel) -> None:
        self._run = run
        self._through = through
        self.known: list[Address] = []

    def __call__(self) -> wait.State:
        problem = self._through.problem()
        if problem:
            return wait.Failed(f"The tunnel gives no address: {problem}")
        found = seen.exposure(self._run)
        if found.service is None:
            return judge.SERVICE_GONE
        self.known = [one for one in found.known if one.way == service.BALANCER]
        if not self.known:
            return wait.Pending("no address yet")
        if not found.ready or probe.answering(self._run.app, self.known, pods=found.ready):
            return wait.Done()
        return wait.Pending(f"waiting for an answer at {self.known[0].url}")


def _wait_for_tunnel(run: Run, through: OpenTunnel, at: Callable[[str], None]) -> Address:
    """The address that answers through the tunnel. Raises ExposeError."""
    check = TunnelCheck(run, through)
    wait.until_done(
        check,
        ExposeError,
        "No address answers through the tunnel",
        seen.LOGS,
        timeout=run.settings.timeout,
        on_change=at,
    )
    return check.known[0]


def traffic(run: Run, requests: int | None) -> dict[str, Any] | None:
    """Send requests and see which pods answer; None under --dry. Raises ExposeError, ApiError.

    Without a number, as many as miss none of the ready pods but for one run in a million, and LEAST_REQUESTS at least. If
    answers do not name their pod, the API server asks each ready pod once, and the pods' requests are None.
    """
    if run.report.dry:
        run.report.equivalent(equivalents.traffic(run.app, requests or LEAST_REQUESTS))
        return None
    seen.address(run)
    exposed = seen.exposure(run)
    ready = len(exposed.ready)
    if not ready:
        raise ExposeError("No pod is ready to answer.", "./inv status shows why; ./inv scale starts some")
    address = seen.address(run, answering=True).url
    number = requests or max(LEAST_REQUESTS, probe.enough(ready))
    run.report.equivalent(equivalents.traffic(run.app, number))
    with run.report.step(f"Sending {number} requests to {address}") as step:
        pods = probe.spread(run.app, address, number, lambda sent: step.at("", sent, number))
    failed = number - sum(pod["requests"] for pod in pods)
    if not run.app.pod_key:
        answering = (pod for pod in sorted(exposed.ready) if not seen.silence(run, exposed, pod))
        pods = [{"pod": pod, "requests": None} for pod in answering]
    return {"url": address, "requests": number, "failed": failed, "ready": ready, "pods": pods}
