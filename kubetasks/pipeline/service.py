"""The service: its address, a tunnel to it, and who answers there."""

from typing import Any, NamedTuple

from kubetasks.errors import ExposeError
from kubetasks.pipeline import probe, seen
from kubetasks.pipeline.judge import Exposure
from kubetasks.pipeline.run import Run
from kubetasks.terminal.door import At

LEAST_REQUESTS = 60


def url(run: Run) -> str:
    """The URL that answers, or the preferred one if none does; "" under --dry. Raises ExposeError."""
    return run.do(run.provider.service_command(run.kubectl_flags), lambda _: seen.address(run).url) or ""


def tunnel(run: Run) -> None:
    """Keep a tunnel to the service's load balancer address open until Ctrl-C.

    Raises ExposeError if there is no service, SetupError or ClusterError if there is no tunnel, LeftoverError.
    """
    provider, report = run.provider, run.report
    if not provider.tunnelled:
        report.say(f"Cluster {provider.name} needs no tunnel: ./inv service prints the address.")
        return
    if run.do.unless_dry(lambda: seen.address(run)):  # there is a service
        report.say("While the tunnel is open, ./inv status shows the load balancer's address. Ctrl-C closes it.")
    try:
        provider.tunnel()
    except KeyboardInterrupt:
        report.say("The tunnel is closed.")


def traffic(run: Run, requests: int | None) -> dict[str, Any] | None:
    """Send requests and see which pods answer; None under --dry. Raises ExposeError, ApiError.

    Without a number, as many as miss none of the ready pods but for one run in a million, and LEAST_REQUESTS at least. If
    answers do not name their pod, the API server asks each ready pod once, and the pods' requests are None.
    """
    found = run.do.unless_dry(lambda: _answering(run))
    number = requests or max(LEAST_REQUESTS, probe.enough(len(found.exposed.ready)) if found else 0)
    command = f"for i in $(seq {number}); do curl --silent $(./inv service){run.app.traffic[1:]}; done"
    text = f"Sending {number} requests to {found.url}" if found else ""
    return run.do(command, lambda at: _send(run, found, number, at) if found else None, text)


class Answering(NamedTuple):
    """The service, and a URL of it that answers."""

    exposed: Exposure
    url: str


def _answering(run: Run) -> Answering:
    """Raises ExposeError."""
    exposed = seen.exposure(run)
    known = seen.require_known(run, exposed.known if exposed.service else None)
    if not exposed.ready:
        if exposed.deployment is None:
            raise ExposeError("Nothing is deployed.", "./inv build deploy")
        raise ExposeError("No pod is ready to answer.", "./inv diagnose" if exposed.wanted else "./inv scale")
    return Answering(exposed, seen.require_answer(run, known).url)


def _send(run: Run, found: Answering, number: int, at: At) -> dict[str, Any]:
    pods = probe.spread(run.app, found.url, number, lambda sent: at("", sent, number))
    failed = number - sum(pod["requests"] for pod in pods)
    if not run.app.pod_key:
        answering = (pod for pod in sorted(found.exposed.ready) if not seen.silence(run, found.exposed, pod))
        pods = [{"pod": pod, "requests": None} for pod in answering]
    return {"url": found.url, "requests": number, "failed": failed, "ready": len(found.exposed.ready), "pods": pods}
