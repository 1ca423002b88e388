"""The service: its address, a tunnel to it, and who answers there."""

from typing import Any

from kubetasks.errors import ExposeError
from kubetasks.kube import readiness
from kubetasks.pipeline import probe, seen
from kubetasks.pipeline.run import Run
from kubetasks.terminal import equivalents

LEAST_REQUESTS = 60


def url(run: Run) -> str:
    """The URL that answers, or the preferred one if none does; "" under --dry. Raises ExposeError."""
    if not run.report.equivalent(run.provider.service_line(run.kubectl)):
        return ""
    return seen.address(run).url


def tunnel(run: Run) -> None:
    """Keep a tunnel to the service's load balancer address open until Ctrl-C.

    Raises ExposeError if there is no service, SetupError or ClusterError if there is no tunnel, LeftoverError.
    """
    provider, report = run.provider, run.report
    if not provider.tunnel_line:
        report.say(f"Cluster {provider.name} needs no tunnel: ./inv service prints the address.")
        return
    if not report.equivalent(provider.tunnel_line):
        return
    seen.address(run)  # there is a service
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
    if run.report.dry:
        run.report.equivalent(equivalents.traffic(run.app, requests or LEAST_REQUESTS))
        return None
    seen.address(run)
    exposed = seen.exposure(run)
    ready = len(exposed.ready)
    if not ready:
        found = seen.deployment(run)
        if found is None:
            raise ExposeError("Nothing is deployed.", "./inv build deploy")
        raise ExposeError("No pod is ready to answer.", "./inv diagnose" if readiness.replicas(found) else "./inv scale")
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
