"""Tasks that build, run, watch and remove the application."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from invoke.context import Context
from invoke.tasks import task

from kubetasks.commands import steps
from kubetasks.commands.session import Session
from kubetasks.kube import client, rollout
from kubetasks.settings import APP, whole_number
from kubetasks.setup import engine as engine_setup

MOST_REPLICAS = 100


@task
def build(c: Context) -> None:
    """Build the image of the present source (docker build -t simple-server:v1 .).

    Example: ./inv --echo build
    """
    steps.build(Session(c))


@task
def deploy(c: Context) -> None:
    """Run the image of the present source in the cluster (kubectl create deployment), started first where it is not.

    Example: ./inv build deploy
    """
    session = Session(c)
    steps.require_built(session)  # before a cluster is made for nothing
    steps.start(session)
    steps.deploy(session)


@task(help={"replicas": "how many pods; INVOKE_APP_REPLICAS is the default"})
def scale(c: Context, replicas: str = "") -> None:
    """Run that many pods (kubectl scale deployments/simple-server --replicas=3).

    Example: ./inv scale --replicas=5
    """
    session = Session(c)
    wanted = whole_number("--replicas", replicas or session.settings.replicas, 0, MOST_REPLICAS)
    steps.scale(session, wanted)


@task
def undeploy(c: Context) -> None:
    """Delete the deployment and its pods (kubectl delete deployment simple-server).

    Example: ./inv undeploy
    """
    session = Session(c)
    if not steps.undeploy(session) and not session.report.dry:
        session.report.say("There was no deployment.")


@task
def rmi(c: Context) -> None:
    """Remove the application's images (docker rmi simple-server:v1 -f).

    The nodes keep theirs while a deployment needs them.

    Example: ./inv undeploy rmi
    """
    session = Session(c)
    from_nodes = not session.report.dry and session.provider.condition() == "running" and not session.deployed()
    if not steps.remove_images(session, from_nodes=from_nodes) and not session.report.dry:
        session.report.say("There was no image.")


@task(help={"all": "the cluster as well"})
def clean(c: Context, all: bool = False) -> None:
    """Remove service, deployment and images, and wait until they are gone; with --all the cluster too.

    Example: ./inv clean --all
    """
    session = Session(c)
    if not (session.report.dry or session.settings.state_folder.exists() or engine_setup.answers()):
        session.report.say("No container engine answers, and no cluster was made from here: nothing to clean.")
        return
    if all:
        steps.delete(session)
    else:
        steps.unexpose(session)
        steps.undeploy(session)
    steps.remove_images(session, from_nodes=not all)
    session.report.say("Clean.")


@task
def up(c: Context) -> None:
    """All of it: cluster and image side by side, then deployed, exposed and scaled.

    Example: ./inv setup up
    """
    session = Session(c)
    if session.report.dry:
        steps.start(session)
        steps.build(session)
    else:
        with session.report.step("Cluster and image"), ThreadPoolExecutor(max_workers=2) as pool:
            assert session.engine
            for job in [pool.submit(steps.start, session), pool.submit(steps.build, session)]:
                job.result()
    steps.deploy(session)
    steps.expose(session)
    steps.scale(session, session.settings.replicas)
    if not session.report.dry:
        session.report.result(steps.answering_url(session))


@task(help={"tail": "how many lines of each pod"})
def logs(c: Context, tail: str = "100") -> None:
    """Print what the pods have written, each line with its pod's name (kubectl logs).

    Example: ./inv logs --tail=20
    """
    session = Session(c)
    lines = whole_number("--tail", tail, 1, 100000)
    if not session.report.mirror(f"{session.kubectl} logs --prefix --tail={lines} --selector={steps.SELECTOR}"):
        return
    namespace = session.settings.namespace
    for pod in session.kube.list("Pod", namespace, labelSelector=steps.SELECTOR):
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
    deployment, pods = document["deployment"], document["pods"]
    if deployment:
        report.table(
            ("DEPLOYMENT", "READY", "IMAGE", "STATE"),
            [(APP, f"{deployment['ready']}/{deployment['replicas']}", deployment["image"], deployment["state"])],
        )
    if pods:
        report.table(
            ("POD", "READY", "STATE", "RESTARTS"),
            [(pod["name"], "yes" if pod["ready"] else "no", pod["state"], pod["restarts"]) for pod in pods],
        )
    if document["endpoints"]:
        report.table(("ADDRESS", "BY"), [(end["url"], end["way"]) for end in document["endpoints"]])
    if not deployment and document["state"] == "running":
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
    deployment = session.deployed()
    pods = session.kube.list("Pod", session.settings.namespace, labelSelector=steps.SELECTOR)
    if deployment:
        state = rollout.deployment_state(deployment, pods)
        document["deployment"] = {
            "image": deployment["spec"]["template"]["spec"]["containers"][0]["image"],
            "replicas": deployment["spec"].get("replicas", 1),
            "ready": deployment["status"].get("readyReplicas", 0),
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
    service = steps.find_service(session)
    if service:
        known = steps.service_endpoints(session, service)
        document["endpoints"] = [{"url": end.url, "way": end.way} for end in known]
    return document
