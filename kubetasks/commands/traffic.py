"""Tasks that let requests in, and show who answers them."""

from invoke.context import Context
from invoke.tasks import task

from kubetasks import steps
from kubetasks.errors import ExposeError
from kubetasks.settings import APP, whole_number

MOST_REQUESTS = 1_000_000


@task
def expose(c: Context) -> None:
    """Give the deployment an address that answers from here.

    The tutorial: kubectl expose deployment simple-server --type=LoadBalancer
    Example: ./inv expose service
    """
    session = steps.session.Session(c)
    for endpoint in steps.traffic.expose(session):
        session.report.say(f"  {endpoint.url} ({endpoint.way})")


@task
def unexpose(c: Context) -> None:
    """Delete the service, and its addresses with it.

    The tutorial: kubectl delete service simple-server
    Example: ./inv unexpose
    """
    session = steps.session.Session(c)
    if not steps.traffic.unexpose(session):
        session.report.say("There was no service.")


@task(help={"open": "open it in the browser as well"})
def service(c: Context, open: bool = False) -> None:
    """Print the URL that answers.

    The tutorial: minikube service simple-server
    Example: curl $(./inv service)
    """
    session = steps.session.Session(c)
    if not session.report.mirror(f"{session.kubectl} get service {APP}"):
        return
    url = steps.traffic.answering_url(session)
    session.report.result(url)
    if open:
        import webbrowser

        webbrowser.open(url)


@task(help={"requests": "how many requests", "json": "one JSON document on standard output"})
def traffic(c: Context, requests: str = "60", json: bool = False) -> None:
    """Send requests and show which pods answered.

    Each goes over a connection of its own: a kept one stays with one pod.

    Example: ./inv traffic --requests=300
    """
    from kubetasks.kube import endpoints

    session = steps.session.Session(c, json=json)
    number = whole_number("--requests", requests, 1, MOST_REQUESTS)
    report = session.report
    if not report.mirror(f"for i in $(seq {number}); do curl --silent $(./inv service); done"):
        return
    url = steps.traffic.answering_url(session)
    ready = steps.traffic.ready_pods(session)
    if not ready:
        raise ExposeError("No pod is ready to answer.", "./inv status shows why; ./inv scale runs some")
    with report.step(f"Sending {number} requests to {url}") as step:
        spread = endpoints.spread(url, number, lambda sent: step.at("", sent, number))
    pods = [
        {"pod": pod, "requests": spread.requests[pod], "count": spread.counts[pod], "build": spread.builds[pod]}
        for pod in sorted(spread.requests)
    ]
    if json:
        report.document({"url": url, "requests": number, "failed": spread.failed, "ready": len(ready), "pods": pods})
    else:
        report.table(
            ("POD", "ANSWERED", "ITS COUNT", "BUILD"),
            [(row["pod"], row["requests"], row["count"], row["build"]) for row in pods],
        )
    if spread.failed:
        raise ExposeError(f"{spread.failed} of {number} requests had no answer.", "./inv status; ./inv logs")
    if len(pods) < len(ready):
        raise ExposeError(
            f"Only {len(pods)} of {len(ready)} ready pods answered {number} requests.",
            f"{endpoints.enough(len(ready))} requests miss one once in a million times: "
            f"./inv traffic --requests={endpoints.enough(len(ready))}",
        )
