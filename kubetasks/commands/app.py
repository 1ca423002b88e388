"""Tasks that build, run, watch and remove the application."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from kubetasks.kube import client, rollout
from kubetasks.settings import APP, MOST_REPLICAS, whole_number
from kubetasks.setup import engine as engine_setup
from kubetasks.steps import cluster, deployment, traffic
from kubetasks.steps.session import Session


@task
def build(c: Context) -> None:
    """Build the image of the present source (docker build -t simple-server:v1 .).

    Example: ./inv --echo build
    """
    deployment.build(Session(c))


@task
def deploy(c: Context) -> None:
    """Run the image of the present source in the cluster (kubectl create deployment), started first where it is not.

    Example: ./inv build deploy
    """
    session = Session(c)
    deployment.require_built(session)  # before a cluster is made for nothing
    cluster.start(session)
    deployment.deploy(session)


@task(help={"replicas": "how many pods; INVOKE_APP_REPLICAS is the default"})
def scale(c: Context, replicas: str = "") -> None:
    """Run that many pods (kubectl scale deployments/simple-server --replicas=3).

    Example: ./inv scale --replicas=5
    """
    session = Session(c)
    wanted = whole_number("--replicas", replicas or session.settings.replicas, 0, MOST_REPLICAS)
    deployment.scale(session, wanted)


@task
def undeploy(c: Context) -> None:
    """Delete the deployment and its pods (kubectl delete deployment simple-server).

    Example: ./inv undeploy
    """
    session = Session(c)
    if not deployment.undeploy(session):
        session.report.say("There was no deployment.")


@task
def rmi(c: Context) -> None:
    """Remove the application's images (docker rmi simple-server:v1 -f).

    A node keeps what a deployment runs.

    Example: ./inv undeploy rmi
    """
    session = Session(c)
    if not deployment.remove_images(session):
        session.report.say("There was no image.")


@task(help={"all": "the cluster as well"})
def clean(c: Context, all: bool = False) -> None:
    """Remove service, deployment and images, and wait until they are gone; with --all the cluster too.

    Example: ./inv clean --all
    """
    session = Session(c)
    settings, report = session.settings, session.report
    if settings.provider == "kind" and not (report.dry or settings.state_folder.exists() or engine_setup.answers()):
        report.say("No container engine answers, and no cluster was made from here: nothing to clean.")
        return
    if all:
        cluster.delete(session)
    else:
        traffic.unexpose(session)
        deployment.undeploy(session)
    deployment.remove_images(session)
    if not report.dry:
        report.say("Clean.")


@task
def up(c: Context) -> None:
    """All of it: cluster and image side by side, then deployed, exposed and scaled.

    Example: ./inv setup up
    """
    session = Session(c)
    if session.report.dry:
        cluster.start(session)
        deployment.build(session)
    else:
        assert session.engine
        with session.report.step("Cluster and image"), ThreadPoolExecutor(max_workers=1) as pool:
            image = pool.submit(deployment.build, session)
            cluster.start(session)  # in this thread: a signal must reach what takes a half-made cluster back
            image.result()
    deployment.deploy(session)
    traffic.expose(session)
    deployment.scale(session, session.settings.replicas)
    if not session.report.dry:
        session.report.result(traffic.answering_url(session))


@task(help={"tail": "how many lines of each pod"})
def logs(c: Context, tail: str = "100") -> None:
    """Print what the pods have written, each line with its pod's name (kubectl logs).

    Example: ./inv logs --tail=20
    """
    session = Session(c)
    lines = whole_number("--tail", tail, 1, 100000)
    if not session.report.mirror(f"{session.kubectl} logs --prefix --tail={lines} --selector={deployment.SELECTOR}"):
        return
    namespace = session.settings.namespace
    for pod in session.kube.list("Pod", namespace, labelSelector=deployment.SELECTOR):
        name = pod["metadata"]["name"]
        text = session.kube.text(client.path("Pod", namespace, name, "log"), {"tailLines": str(lines)})
        for line in text.splitlines():
            session.report.result(f"[{name}] {line}")


@task(help={"json": "one JSON document on standard output"})
def status(c: Context, json: bool = False) -> None:
    """Show cluster, deployment, pods and address (kubectl get deployments,pods).

    Example: ./inv status --json
    """
    session = Session(c, json=json)
    if not session.report.mirror(f"{session.kubectl} get deployments,pods,services"):
        return
    document = _status(session)
    if json:
        session.report.document(document)
        return
    report = session.report
    report.table(("CLUSTER", "STATE"), [(document["cluster"], document["state"])])
    found, pods = document["deployment"], document["pods"]
    if found:
        report.table(
            ("DEPLOYMENT", "READY", "IMAGE", "STATE"),
            [(APP, f"{found['ready']}/{found['replicas']}", found["image"], found["state"])],
        )
    if pods:
        report.table(
            ("POD", "READY", "STATE", "RESTARTS"),
            [(pod["name"], "yes" if pod["ready"] else "no", pod["state"], pod["restarts"]) for pod in pods],
        )
    if document["endpoints"]:
        report.table(("ADDRESS", "BY"), [(end["url"], end["way"]) for end in document["endpoints"]])
    if not found and document["state"] == "running":
        report.say("Nothing is deployed: ./inv build deploy")


def _status(session: Session) -> dict[str, Any]:
    document: dict[str, Any] = {
        "cluster": session.settings.cluster if session.settings.provider == "kind" else session.settings.context,
        "state": session.provider.condition(),
        "deployment": None,
        "pods": [],
        "endpoints": [],
    }
    if document["state"] != "running":
        return document
    state, found, pods = deployment.state(session)
    if found:
        document["deployment"] = {
            "image": found["spec"]["template"]["spec"]["containers"][0]["image"],
            "replicas": found["spec"].get("replicas", 1),
            "ready": found["status"].get("readyReplicas", 0),
            "state": getattr(state, "detail", None) or getattr(state, "reason", ""),
        }
    document["pods"] = [
        {
            "name": pod["metadata"]["name"],
            "ready": rollout.pod_ready(pod),
            "state": rollout.pod_phase(pod),
            "restarts": sum(one["restartCount"] for one in pod["status"].get("containerStatuses", [])),
        }
        for pod in pods
    ]
    service = traffic.find_service(session)
    if service:
        known = traffic.service_endpoints(session, service)
        document["endpoints"] = [{"url": end.url, "way": end.way} for end in known]
    return document
