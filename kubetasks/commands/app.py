"""Tasks that build, run, watch and remove the application."""

from typing import TYPE_CHECKING, Any

from invoke.context import Context
from invoke.tasks import task

from kubetasks import steps
from kubetasks.settings import APP, MOST_REPLICAS, whole_number

if TYPE_CHECKING:
    from kubetasks.steps.session import Session


@task
def build(c: Context) -> None:
    """Build the image of the present source.

    The tutorial: docker build -t simple-server:v1 .
    Example: ./inv --echo build
    """
    steps.deployment.build(steps.session.Session(c))


@task
def deploy(c: Context) -> None:
    """Run the image of the present source in the cluster.

    The cluster is made or started first where it has to be.

    The tutorial: kubectl create deployment simple-server --image=simple-server:v1
    Example: ./inv build deploy
    """
    session = steps.session.Session(c)
    steps.deployment.require_built(session)  # before a cluster is made for nothing
    steps.deployment.start(session)
    steps.deployment.deploy(session)


@task(help={"replicas": "how many pods; INVOKE_APP_REPLICAS is the default"})
def scale(c: Context, replicas: str = "") -> None:
    """Run that many pods, done when each of them answers.

    The tutorial: kubectl scale deployments/simple-server --replicas=3
    Example: ./inv scale --replicas=5
    """
    session = steps.session.Session(c)
    wanted = whole_number("--replicas", replicas or session.settings.replicas, 0, MOST_REPLICAS)
    steps.deployment.scale(session, wanted)


@task
def undeploy(c: Context) -> None:
    """Delete the deployment and its pods.

    The tutorial: kubectl delete deployment simple-server
    Example: ./inv undeploy
    """
    session = steps.session.Session(c)
    if not steps.deployment.undeploy(session):
        session.report.say("There was no deployment.")


@task
def rmi(c: Context) -> None:
    """Remove the application's images.

    A node keeps what a deployment runs.

    The tutorial: docker rmi simple-server:v1 -f
    Example: ./inv undeploy rmi
    """
    session = steps.session.Session(c)
    if not steps.deployment.remove_images(session):
        session.report.say("There was no image.")


@task(help={"all": "the cluster as well"})
def clean(c: Context, all: bool = False) -> None:
    """Remove service, deployment and images; --all the cluster too.

    It waits until they are gone, and fails where something is left.

    Example: ./inv clean --all
    """
    session = steps.session.Session(c)
    from kubetasks.setup import engine as engine_setup

    settings, report = session.settings, session.report
    if settings.provider == "kind" and not (report.dry or settings.state_folder.exists() or engine_setup.answers()):
        report.say("No container engine answers, and no cluster was made from here: nothing to clean.")
        return
    if all:
        steps.cluster.delete(session)
    else:
        steps.traffic.unexpose(session)
        steps.deployment.undeploy(session)
    steps.deployment.remove_images(session)
    if not report.dry:
        report.say("Clean.")


@task
def up(c: Context) -> None:
    """All of it: start, build, deploy, expose and scale.

    Cluster and image are made side by side; the URL is printed at the end.

    Example: ./inv setup up
    """
    session = steps.session.Session(c)
    if session.report.dry:
        steps.deployment.start(session)
        steps.deployment.build(session)
    else:
        from concurrent.futures import ThreadPoolExecutor

        assert session.engine
        with session.report.step("Cluster and image"), ThreadPoolExecutor(max_workers=1) as pool:
            image = pool.submit(steps.deployment.build, session)
            steps.deployment.start(session)  # in this thread: a signal must reach what takes a half-made cluster back
            image.result()
    steps.deployment.deploy(session)
    steps.traffic.expose(session)
    steps.deployment.scale(session, session.settings.replicas)
    if not session.report.dry:
        session.report.result(steps.traffic.answering_url(session))


@task(help={"tail": "how many lines of each pod"})
def logs(c: Context, tail: str = "100") -> None:
    """Print what the pods have written, with their names.

    By hand: kubectl logs --prefix --selector=app.kubernetes.io/name=simple-server
    Example: ./inv logs --tail=20
    """
    from kubetasks.kube import client

    session = steps.session.Session(c)
    lines = whole_number("--tail", tail, 1, 100000)
    if not session.report.mirror(f"{session.kubectl} logs --prefix --tail={lines} --selector={steps.deployment.SELECTOR}"):
        return
    namespace = session.settings.namespace
    for pod in session.kube.list("Pod", namespace, labelSelector=steps.deployment.SELECTOR):
        name = pod["metadata"]["name"]
        text = session.kube.text(client.path("Pod", namespace, name, "log"), {"tailLines": str(lines)})
        for line in text.splitlines():
            session.report.result(f"[{name}] {line}")


@task(help={"json": "one JSON document on standard output"})
def status(c: Context, json: bool = False) -> None:
    """Show cluster, deployment, pods and addresses.

    The tutorial: kubectl get deployments,pods
    Example: ./inv status --json
    """
    session = steps.session.Session(c, json=json)
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
    if document["state"] != "running":
        report.say("./inv start starts it")
    elif not found:
        report.say("Nothing is deployed: ./inv build deploy")


def _status(session: "Session") -> dict[str, Any]:
    from kubetasks.kube import rollout

    document: dict[str, Any] = {
        "cluster": session.settings.cluster if session.settings.provider == "kind" else session.settings.context,
        "state": session.provider.condition(),
        "deployment": None,
        "pods": [],
        "endpoints": [],
    }
    if document["state"] != "running":
        return document
    state, found, pods = steps.deployment.state(session)
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
    service = steps.traffic.find_service(session)
    if service:
        known = steps.traffic.service_endpoints(session, service)
        document["endpoints"] = [{"url": end.url, "way": end.way} for end in known]
    return document
