"""The service: its address, a tunnel to it, and who answers there."""

from typing import Any

from kubetasks.errors import ExposeError
from kubetasks.pipeline import probe
from kubetasks.pipeline.run import Run
from kubetasks.pipeline.seen import Seen
from kubetasks.project.application import Application
from kubetasks.project.words import INV
from kubetasks.terminal.door import At

LEAST_REQUESTS = 60


def url(run: Run) -> str:
    """The URL that answers, or the preferred one if none does; "" under --dry. Raises ExposeError."""
    return run.do(run.provider.service_command(run.kubectl_flags), lambda _: run.seen.address().url) or ""


def tunnel(run: Run) -> None:
    """Keep a tunnel to the service's load balancer address open until Ctrl-C.

    Raises ExposeError if there is no service, SetupError or ClusterError if there is no tunnel, LeftoverError.
    """
    provider, report = run.provider, run.report
    if not provider.tunnelled:
        report.say(f"Cluster {provider.name} needs no tunnel: {INV} service prints the address.")
        return
    if run.do.unless_dry(lambda: run.seen.address()):  # there is a service
        report.say(f"While the tunnel is open, {INV} status shows the load balancer's address. Ctrl-C closes it.")
    try:
        provider.tunnel()
    except KeyboardInterrupt:
        report.say("The tunnel is closed.")


def traffic(run: Run, requests: int | None) -> dict[str, Any] | None:
    """Send requests and see which pods answer; None under --dry. Raises ExposeError, ApiError.

    Without a number, as many as miss none of the ready pods but for one run in a million, and LEAST_REQUESTS at least. If
    answers do not name their pod, the API server asks each ready pod once, and the pods' requests are None.
    """
    seen = run.do.unless_dry(lambda: run.seen)
    address = _answering(seen) if seen else ""
    number = requests or max(LEAST_REQUESTS, probe.enough(len(seen.exposure.ready)) if seen else 0)
    command = f"for i in $(seq {number}); do curl --silent $({INV} service){run.app.traffic[1:]}; done"
    text = f"Sending {number} requests to {address}" if address else ""
    return run.do(command, lambda at: _send(run.app, seen, address, number, at) if seen else None, text)


def _answering(seen: Seen) -> str:
    """A URL of the service that answers. Raises ExposeError."""
    seen.require_addresses()
    exposed = seen.exposure
    if not exposed.ready:
        if exposed.deployment is None:
            raise ExposeError("Nothing is deployed.", f"{INV} build deploy")
        raise ExposeError("No pod is ready to answer.", f"{INV} diagnose" if exposed.wanted else f"{INV} scale")
    return seen.require_answer().url


def _send(app: Application, seen: Seen, url: str, number: int, at: At) -> dict[str, Any]:
    pods = probe.spread(app, url, number, lambda sent: at("", sent, number))
    failed = number - sum(pod["requests"] for pod in pods)
    ready = seen.exposure.ready
    if not app.pod_key:
        pods = [{"pod": pod, "requests": None} for pod in sorted(ready) if not seen.silence(pod)]
    return {"url": url, "requests": number, "failed": failed, "ready": len(ready), "pods": pods}
