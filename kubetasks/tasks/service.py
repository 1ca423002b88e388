"""The service: expose, query and delete it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from kubetasks import pipeline
from kubetasks.errors import ExposeError
from kubetasks.project.settings import whole_number
from kubetasks.project.words import INV
from kubetasks.tasks.task import JSON, task

if TYPE_CHECKING:
    from kubetasks.pipeline.run import Run

MOST_REQUESTS = 1_000_000


@task(help={"json": JSON})
def expose(run: Run, json: bool = False) -> None:
    """Give the deployment an address that answers from this machine.

    The tutorial: kubectl expose deployment simple-server --type=LoadBalancer
    Example: ./inv expose service
    Undo: ./inv unexpose
    """
    addresses = pipeline.app.expose(run)
    for address in addresses:
        run.report.say(f"  {address.url} ({address.way})")
    run.report.outcome({"addresses": [asdict(address) for address in addresses]})


@task()
def unexpose(run: Run) -> None:
    """Delete the service, and its addresses with it.

    The tutorial: kubectl delete service simple-server
    Example: ./inv unexpose
    Undo: ./inv expose
    """
    if not pipeline.removal.unexpose(run):
        run.report.say("There was no service.")


@task(piped=True, help={"open": "open it in the browser too"})
def service(run: Run, open: bool = False) -> None:
    """Print the URL that answers, or the one that should.

    It changes nothing. To a service of type ClusterIP, which has no address outside, it forwards a port until Ctrl-C.

    The tutorial: minikube service simple-server
    Example: curl $(./inv service)
    """
    for url in pipeline.service.urls(run):
        run.report.result(url)
        if open:
            import webbrowser

            webbrowser.open(url)


@task()
def tunnel(run: Run) -> None:
    """Open a tunnel to the load balancer's address, until Ctrl-C.

    Only minikube needs one; it adds a route with sudo, and removes it at the end.

    The tutorial: minikube tunnel
    Example: INVOKE_CLUSTER_PROVIDER=minikube ./inv tunnel
    Undo: Ctrl-C
    """
    pipeline.service.tunnel(run)


@task(help={"requests": "how many requests; enough for the pods by default", "json": JSON})
def traffic(run: Run, requests: str = "", json: bool = False) -> None:
    """Send requests and show which pods answered.

    Each request has a new connection: a kept one stays with one pod. If the answers do not name their pod, the API server asks
    each pod.

    It changes nothing but the pods' counts.

    Example: ./inv traffic --requests=300
    """
    answers = pipeline.service.traffic(run, whole_number("--requests", requests, 1, MOST_REQUESTS) if requests else None)
    if answers is None:
        return
    requested, ready, pods = answers["requests"], answers["ready"], answers["pods"]
    if json:
        run.report.document(answers)
    elif run.app.pod_key:
        run.report.table(("POD", "ANSWERED", "ITS COUNT", "BUILD", "NODE"), [tuple(pod.values()) for pod in pods])
    else:
        run.report.table(("POD", "ANSWERS THE API SERVER"), [(pod["pod"], "yes") for pod in pods])
        run.report.say(
            f"{requested - answers['failed']} of {requested} requests were answered; the answers do not name their pod."
        )
    if answers["failed"]:
        raise ExposeError(f"{answers['failed']} of {requested} requests had no answer.", f"{INV} status; {INV} logs")
    if len(pods) < ready:
        enough = pipeline.probe.enough(ready)
        more = f"{enough} requests miss a pod only once in a million runs: {INV} traffic --requests={enough}"
        raise ExposeError(
            f"Only {len(pods)} of {ready} ready pods answered {requested} requests.",
            more if requested < enough else f"{INV} diagnose",
        )
