"""The cluster: create, stop and delete it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubetasks import pipeline
from kubetasks.tasks.task import JSON, task

if TYPE_CHECKING:
    from kubetasks.pipeline.run import Run


@task(help={"json": JSON})
def start(run: Run, json: bool = False) -> None:
    """Start the cluster, created first if there is none.

    On kind that is a Docker network, the nodes, a registry and a load balancer. Its files are in .state/.

    The tutorial: minikube start
    Example: INVOKE_CLUSTER_NAME=other INVOKE_CLUSTER_PORT=8090 ./inv start
    Undo: ./inv stop, or ./inv delete
    """
    pipeline.cluster.start(run)
    run.report.outcome({"cluster": run.provider.name})


@task()
def stop(run: Run) -> None:
    """Stop the cluster; `start` starts it again with what ran in it.

    The tutorial: minikube stop
    Example: ./inv stop
    Undo: ./inv start
    """
    if not pipeline.cluster.stop(run):
        run.report.say(f"Cluster {run.provider.name} is not running.")


@task()
def delete(run: Run) -> None:
    """Delete the cluster with everything in it.

    It cannot be undone; ./inv up recreates it.

    The tutorial: minikube delete
    Example: INVOKE_CLUSTER_NAME=other ./inv delete
    """
    if not pipeline.cluster.delete(run):
        run.report.say(f"There is no cluster {run.provider.name}.")


@task(piped=True)
def kubeconfig(run: Run) -> None:
    """Print the path of the cluster's kubeconfig file.

    Your own kubectl reaches the cluster with it.

    It changes nothing.

    Example: KUBECONFIG=$(./inv kubeconfig) kubectl get pods
    """
    run.report.result(pipeline.cluster.kubeconfig(run))


@task(piped=True, help={"unset": "print what unsets the variables again"})
def docker_env(run: Run, unset: bool = False) -> None:
    """Print how docker reaches the engine that builds for the cluster.

    It changes nothing: the shell that evaluates it uses that engine. Only a minikube node with Docker has one.

    The tutorial: eval $(minikube docker-env)
    Example: eval "$(./inv docker-env)"
    Undo: eval "$(./inv docker-env --unset)"
    """
    lines = pipeline.cluster.docker_env(run, unset)
    if lines:
        run.report.result(lines)
