"""The cluster: created, started, stopped and deleted, with a load balancer installed if it has none."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kubetasks import providers
from kubetasks.engine import access
from kubetasks.errors import ClusterError, EngineError, ExposeError, RolloutError
from kubetasks.kube.client import ApiError
from kubetasks.pipeline import converge, nodes, seen
from kubetasks.pipeline.run import Run
from kubetasks.providers import metallb
from kubetasks.providers.own import Own
from kubetasks.setup import requirements


def start(run: Run) -> None:
    """Start the cluster, created first if there is none, and wait until what was deployed in it is back. Raises ClusterError."""
    if not ensure(run) or run.report.dry:
        return
    if seen.deployment(run) is None:
        return
    try:
        converge.wait_for_rollout(run, "Waiting for the pods")
        converge.wait_until_served(run)
    except (RolloutError, ExposeError) as error:  # the cluster runs: a broken deployment must not keep anybody from fixing it
        run.report.say(f"The cluster is up; the deployment is not ready: {error.message}")


def ensure(run: Run) -> bool:
    """Make sure that the cluster runs and has a load balancer; True if it has just come up. Raises ClusterError."""
    provider = run.provider
    if not isinstance(provider, Own):
        if not run.report.dry:
            seen.require_namespace(run)  # also shows that the cluster answers
            run.report.say(f"Cluster {provider.name} is running.")
        return False
    if not run.report.show(lambda: _start_lines(run, provider)):
        return False
    run.cluster, changed = provider.start()
    changed |= nodes.wait_for_api(run)
    if run.cluster.subnet:
        _install_load_balancer(run)  # its pods start as soon as there is a node for them
    changed |= nodes.wait_for(run)
    if not changed:
        run.report.say(f"Cluster {provider.name} is running.")
    return changed


def _start_lines(run: Run, provider: Own) -> Sequence[str]:
    """The equivalent commands of a start; a comment if the engine does not answer."""
    try:
        return provider.start_lines()
    except EngineError as error:
        if not run.report.dry:
            raise
        return [f"# {line.strip()}" for line in str(error.message).splitlines()]


def _install_load_balancer(run: Run) -> None:
    if _has_load_balancer(run):
        return
    manifest = requirements.LOAD_BALANCER.find(None, run.settings)
    if not manifest.present:
        raise ClusterError("MetalLB's manifest is missing.", "./inv setup")
    with run.report.step("Installing the load balancer (MetalLB)"):
        run.kube.again(partial(metallb.install, run.kube, Path(manifest.reference)), ApiError)
        run.kube.again(partial(metallb.configure, run.kube, run.cluster.subnet), ApiError)


def _has_load_balancer(run: Run) -> bool:
    installed = partial(metallb.installed, run.kube, run.cluster.subnet)
    try:
        return installed()
    except ApiError:  # one that has just started does not serve MetalLB's kinds yet
        return run.kube.again(installed, ApiError)


def stop(run: Run) -> bool:
    """Stop the cluster; False if it did not run. Raises ClusterError if it is not ours."""
    with run.locked():
        own = providers.lifecycle(run.provider)
        run.forget("cluster", "kube")
        return own.stop()


def delete(run: Run) -> bool:
    """Delete the cluster, its network and its files; False if there was none. Raises ClusterError, LeftoverError."""
    with run.locked():
        own = providers.lifecycle(run.provider)
        if claims := seen.claims(run):
            run.report.say(f"With the cluster goes {', '.join(claims)}, and the data in it.")
        run.forget("cluster", "kube")
        return own.delete()


def runs(run: Run) -> bool:
    """Whether there is a cluster to clean. Raises ClusterError if it cannot be cleaned as it is."""
    phase = run.provider.phase()
    if phase in ("missing", "running"):
        return phase == "running"
    raise ClusterError(f"Cluster {run.provider.name} is {phase}.", "./inv start, or ./inv delete to remove it as it is")


def kubeconfig(run: Run) -> str:
    """The path of the kubeconfig file of the running cluster; under --dry, whether it runs or not. Raises ClusterError."""
    return run.provider.kubeconfig if run.report.dry else run.cluster.kubeconfig


def docker_env(run: Run, unset: bool) -> str:
    """The lines for a person's shell: comments, if the cluster has no engine of its own. Raises ClusterError."""
    lines = run.provider.docker_env(unset)
    if lines is not None:
        return lines
    name = access.node_of_shell()
    if unset and name:
        return (
            f"# INVOKE_CLUSTER_PROVIDER=minikube INVOKE_CLUSTER_NAME={name} ./inv docker-env --unset: that node's engine is used"
        )
    if unset:
        return "# nothing to unset: your docker client was not changed"
    return (
        "# the cluster has no Docker engine for builds: `./inv build` uses yours, and `./inv deploy` loads the image.\n"
        "# A minikube cluster that is created with INVOKE_CLUSTER_RUNTIME=docker has one."
    )
