"""Tasks that make, stop and remove the cluster."""

from invoke.context import Context
from invoke.tasks import task

from kubetasks import steps


@task
def start(c: Context) -> None:
    """Start the cluster, made first where there is none.

    The tutorial: minikube start
    Example: INVOKE_CLUSTER_NAME=other INVOKE_CLUSTER_PORT=8090 ./inv start
    """
    steps.deployment.start(steps.session.Session(c))


@task
def stop(c: Context) -> None:
    """Stop the cluster; `start` brings back what ran in it.

    The tutorial: minikube stop
    Example: ./inv stop
    """
    session = steps.session.Session(c)
    if not steps.cluster.stop(session):
        session.report.say(f"Cluster {session.settings.cluster} does not run.")


@task
def delete(c: Context) -> None:
    """Delete the cluster with everything in it.

    The tutorial: minikube delete
    Example: INVOKE_CLUSTER_NAME=other ./inv delete
    """
    session = steps.session.Session(c)
    if not steps.cluster.delete(session):
        session.report.say(f"There is no cluster {session.settings.cluster}.")


@task
def kubeconfig(c: Context) -> None:
    """Print the path of the cluster's kubeconfig file.

    With it your own kubectl speaks to the cluster.

    Example: KUBECONFIG=$(./inv kubeconfig) kubectl get pods
    """
    session = steps.session.Session(c)
    if session.settings.provider == "kind":
        assert session.cluster  # raises where there is none to speak to
    session.report.result(session.kubeconfig)


@task(help={"unset": "print what takes the variables away again"})
def docker_env(c: Context, unset: bool = False) -> None:
    """Print how docker reaches the engine that builds for the cluster.

    The tutorial: eval $(minikube docker-env)
    Example: eval "$(./inv docker-env)"
    """
    report = steps.session.Session(c).report
    if unset:
        report.result("# nothing to unset: the engine is the one that your docker client uses already")
    else:
        report.result("# a kind node has no Docker engine: `inv build` uses yours, and `inv deploy` loads the image")
