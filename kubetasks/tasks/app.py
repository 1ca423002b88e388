"""The application: build, deploy, scale, watch and remove it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from kubetasks import pipeline
from kubetasks.project.settings import MOST_REPLICAS, whole_number
from kubetasks.project.words import INV
from kubetasks.tasks.task import JSON, task

if TYPE_CHECKING:
    from kubetasks.pipeline.run import Run

VOLUMES = "volume claims too, with the data in them"


@task(help={"json": JSON})
def build(run: Run, json: bool = False) -> None:
    """Build the images of the current source.

    Their build ids are their tags, and simple-server:v1 is moved to the new one.

    The tutorial: docker build -t simple-server:v1 .
    Example: ./inv --echo build
    Undo: ./inv rmi
    """
    own, *more = (image.document() for image in pipeline.build.build(run))
    run.report.outcome({**own, "more": more} if more else own)


@task(help={"json": JSON})
def deploy(run: Run, json: bool = False) -> None:
    """Run the image of the current source in the cluster.

    Applies the deployment and all else in k8s/ but the service. Creates or starts the cluster first if necessary.

    The tutorial: kubectl create deployment simple-server --image=simple-server:v1
    Example: ./inv build deploy
    Undo: ./inv rollback, or ./inv undeploy
    """
    run.report.outcome({"build": pipeline.app.deploy(run).build})


@task(help={"replicas": "how many pods; INVOKE_APP_REPLICAS is the default", "json": JSON})
def scale(run: Run, replicas: str = "", json: bool = False) -> None:
    """Run that many pods, and wait until each of them answers.

    The tutorial: kubectl scale deployments/simple-server --replicas=3
    Example: ./inv scale --replicas=5
    Undo: ./inv scale --replicas=BEFORE
    """
    wanted = whole_number("--replicas", replicas or run.settings.replicas, 0, MOST_REPLICAS)
    pipeline.app.scale(run, wanted)
    run.report.outcome({"replicas": wanted})


@task(help={"volumes": VOLUMES})
def undeploy(run: Run, volumes: bool = False) -> None:
    """Delete the deployment and what came with it.

    That is each object in k8s/ but the service: disruption budgets, jobs, other deployments and services, config maps, secrets
    and service accounts. --dry names them. Volume claims stay, with their data, unless --volumes deletes them too.

    The tutorial: kubectl delete deployment simple-server
    Example: ./inv undeploy
    Undo: ./inv deploy
    """
    if not pipeline.removal.undeploy(run, volumes=volumes):
        run.report.say("There was no deployment.")


@task()
def rmi(run: Run) -> None:
    """Remove the application's images.

    It also removes those that other clones built. A node keeps those that a pod or a deployment uses.

    The tutorial: docker rmi simple-server:v1 -f
    Example: ./inv undeploy rmi
    Undo: ./inv build
    """
    if not pipeline.removal.remove_images(run):
        run.report.say("There was no image.")


@task(help={"all": "the cluster too, with all data in it", "volumes": VOLUMES, "json": JSON})
def clean(run: Run, all: bool = False, volumes: bool = False, json: bool = False) -> None:
    """Remove service, deployment and images; --all the cluster too.

    With the deployment goes all that undeploy deletes: volume claims stay, with their data, unless --volumes or --all removes
    them. It also removes images that other clones built. It waits until all is gone, and fails if something is left. --dry
    names what goes.

    Example: ./inv clean --all
    Undo: ./inv up
    """
    cleaned = pipeline.removal.clean(run, everything=all, volumes=volumes)
    if not cleaned:
        run.report.say("No container engine answers, and no cluster was created from here: nothing to clean.")
    run.report.outcome({"cleaned": cleaned})


@task(help={"json": JSON})
def up(run: Run, json: bool = False) -> None:
    """Start, build, deploy, expose and scale.

    Cluster and image are created side by side; the URL is printed at the end.

    Example: ./inv setup up
    Undo: ./inv clean --all
    """
    image, url = pipeline.app.up(run)
    run.report.outcome({"build": image.build, "url": url})
    if url and not json:
        run.report.result(url)


@task(help={"clean": "at the end, remove everything: the cluster too, if it is ours"})
def dev(run: Run, clean: bool = False) -> None:
    """Rebuild and roll out on every change, until Ctrl-C.

    It starts as `up` does. Then each saved change is built, delivered and rolled out; a line says which build all pods serve,
    or what is wrong while the last good build keeps serving.

    Example: ./inv dev --clean
    Undo: --clean, or ./inv clean --all
    """
    pipeline.dev.loop(run, clean)


@task(piped=True, help={"tail": "how many lines of each pod, 100 by default"})
def logs(run: Run, tail: str = "100") -> None:
    """Print the logs of the pods, with the pods' names.

    It changes nothing.

    To follow them: kubectl logs --follow --prefix --selector=app.kubernetes.io/name=simple-server
    Example: ./inv logs --tail=20
    """
    for line in pipeline.status.logs(run, whole_number("--tail", tail, 1, 100000)):
        run.report.result(line)


@task()
def rollback(run: Run) -> None:
    """Go back to the revision that served before.

    That is the newest earlier one that still has ready pods, as after a rollout that failed, of each deployment that has one. If
    none has, it is the newest earlier one of the application's own: a second rollback undoes the first. `deploy` rolls out the
    source again.

    With kubectl: kubectl rollout undo deployment/simple-server
    Example: ./inv rollback
    Undo: ./inv deploy
    """
    pipeline.app.rollback(run)


@task(help={"json": JSON})
def diagnose(run: Run, json: bool = False) -> None:
    """Show what is wrong, why, and what to type next.

    It changes nothing in the cluster, and writes the details to the file that it names. `healthy` and exit code 0 if nothing is
    wrong; docs/problems.md has a paragraph for each code.

    Example: ./inv diagnose --json
    """
    diagnosis = pipeline.diagnose.now(run)
    if diagnosis is None:
        return
    if json:
        run.report.document(asdict(diagnosis))
    else:
        run.report.result(diagnosis.text())
    if diagnosis.exit_code:
        raise Exit(code=diagnosis.exit_code)


@task(help={"json": JSON})
def status(run: Run, json: bool = False) -> None:
    """Show cluster, deployment, pods and addresses.

    It also lists your other clusters. It changes nothing.

    The tutorial: kubectl get deployments,pods
    Example: ./inv status --json
    """
    document, report = pipeline.status.status(run), run.report
    if document is None:
        return
    if json:
        report.document(document)
        return
    report.table(("CLUSTER", "STATE", "KUBERNETES"), [(document["cluster"], document["state"], document["kubernetes"])])
    deployment, pods = document["deployment"], document["pods"]
    if deployment:
        row = (run.app.name, f"{deployment['ready']}/{deployment['replicas']}", deployment["image"], deployment["state"])
        report.table(("DEPLOYMENT", "READY", "IMAGE", "STATE"), [row])
    if document["parts"]:
        parts = [(part["name"], ", ".join(part["images"]), part["state"]) for part in document["parts"]]
        report.table(("PART", "IMAGE", "STATE"), parts)
    if pods:
        rows = [(pod["name"], "yes" if pod["ready"] else "no", pod["state"], pod["restarts"]) for pod in pods]
        report.table(("POD", "READY", "STATE", "RESTARTS"), rows)
    if document["addresses"]:
        report.table(("ADDRESS", "BY"), [(address["url"] or "none", address["way"]) for address in document["addresses"]])
    if document["others"]:
        report.table(("OTHER CLUSTER", "PROVIDER"), [(cluster["name"], cluster["provider"]) for cluster in document["others"]])
    if document["state"] != "running":
        report.say(f"{INV} start {'creates' if document['state'] == 'missing' else 'starts'} it")
    elif not deployment:
        report.say(f"Nothing is deployed: {INV} build deploy")
    elif deployment["earlier"]:
        report.say(
            f"Ready pods of an earlier revision: {deployment['earlier']}. {INV} diagnose says what is wrong with the new one."
        )
