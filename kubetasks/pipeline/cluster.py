"""The cluster: created, started, stopped and deleted, with a load balancer installed if it has none."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from kubetasks import providers
from kubetasks.engine import access
from kubetasks.errors import ClusterError, EngineError, ExposeError, OwnershipError, RolloutError
from kubetasks.kube import objects
from kubetasks.kube.client import ApiError
from kubetasks.pipeline import nodes, rollout, state
from kubetasks.pipeline.run import Context, one_at_a_time
from kubetasks.providers import localregistry, metallb
from kubetasks.providers.base import Lifecycle, NodeEngine
from kubetasks.setup import artifacts
from kubetasks.terminal import equivalents

R = TypeVar("R")

SERVED_SECONDS = 20  # until an API server that has just started takes MetalLB's objects, and serves the kinds that it defines


def start(context: Context) -> None:
    """Start the cluster, created first if there is none, and wait until what was deployed in it is back. Raises ClusterError."""
    if not ensure(context) or context.report.dry:
        return
    if state.deployment(context) is None:
        return
    try:
        rollout.wait_for_rollout(context, "Waiting for the pods")
        rollout.wait_until_served(context)
    except (RolloutError, ExposeError) as error:  # the cluster runs: a broken deployment must not keep anybody from fixing it
        context.report.say(f"The cluster is up; the deployment is not ready: {error.message}")


def ensure(context: Context) -> bool:
    """Make sure that the cluster runs and has a load balancer; True if it has just come up. Raises ClusterError."""
    provider = context.provider
    if not isinstance(provider, Lifecycle):
        if not context.report.dry:
            state.require_namespace(context)  # also shows that the cluster answers
            context.report.say(f"Cluster {provider.name} is running.")
        return False
    try:
        started = provider.start()
        if started is None:
            if provider.condition() in ("missing", "incomplete"):
                context.report.equivalent(*_new_cluster(context, provider))
            return False
    except EngineError as error:
        if not context.report.dry:
            raise
        context.report.equivalent(*(f"# {line.strip()}" for line in str(error.message).splitlines()))
        return False
    context.cluster, changed = started
    changed |= nodes.wait_for_api(context)
    if context.cluster.subnet:
        _install_load_balancer(context, provider)  # its pods start as soon as there is a node for them
    changed |= nodes.wait_for(context)
    announce_registry(context)
    if not changed:
        context.report.say(f"Cluster {provider.name} is running.")
    return changed


def _new_cluster(context: Context, provider: Lifecycle) -> tuple[str, ...]:
    """What follows the creation of a cluster."""
    manifest = artifacts.metallb_manifest(context.settings).reference
    balancer = equivalents.load_balancer(manifest, provider.network) if provider.network else ()
    return *balancer, equivalents.wait_for_nodes(), *_announcement(provider.registry())


def announce_registry(context: Context) -> None:
    """Tell other tools of the cluster's registry, unless somebody has told them of another one."""
    addresses = context.cluster.registry
    if addresses is None:
        return
    wanted = localregistry.config_map(addresses.outside, addresses.inside)
    found = context.kube.get("ConfigMap", wanted["metadata"]["name"], wanted["metadata"]["namespace"])
    if found is None or found.get("data") != wanted["data"]:
        try:
            objects.apply(context.kube, wanted)
        except OwnershipError as error:
            context.report.say(f"{error.sentence} The cluster's own registry is not announced.")


def _announcement(registry: tuple[str, int] | None) -> tuple[str, ...]:
    if registry is None:
        return ()
    name, port = registry
    return (equivalents.announce_registry(localregistry.config_map(equivalents.port_of(name, port), f"{name}:{port}")),)


def _retried(request: Callable[[], R]) -> R:
    """Call `request` again while an API server that has just started does not take it, as for a kind that was just defined.

    Raises what the last attempt raises, after SERVED_SECONDS.
    """
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((ClusterError, ApiError)),
        stop=tenacity.stop_after_delay(SERVED_SECONDS),
        wait=tenacity.wait_random(0.1, 0.4),
        reraise=True,
    )
    return retrying(request)


def _install_load_balancer(context: Context, provider: Lifecycle) -> None:
    if _has_load_balancer(context):
        return
    manifest = artifacts.metallb_manifest(context.settings)
    if not manifest.present:
        raise ClusterError("MetalLB's manifest is missing.", "./inv setup")
    context.report.equivalent(*_new_cluster(context, provider))
    with context.report.step("Installing the load balancer (MetalLB)"):
        _retried(partial(metallb.install, context.kube, Path(manifest.reference)))
        _retried(partial(metallb.configure, context.kube, context.cluster.subnet))


def _has_load_balancer(context: Context) -> bool:
    installed = partial(metallb.installed, context.kube, context.cluster.subnet)
    try:
        return installed()
    except (ClusterError, ApiError):
        return _retried(installed)


@one_at_a_time
def stop(context: Context) -> bool:
    """Stop the cluster; False if it did not run. Raises ClusterError if it is not ours."""
    return providers.lifecycle(context.provider).stop()


@one_at_a_time
def delete(context: Context) -> bool:
    """Delete the cluster, its network and its files; False if there was none. Raises ClusterError, LeftoverError."""
    return providers.lifecycle(context.provider).delete()


def runs(context: Context) -> bool:
    """Whether there is a cluster to clean. Raises ClusterError if it cannot be cleaned as it is."""
    condition = context.provider.condition()
    if condition in ("missing", "running"):
        return condition == "running"
    raise ClusterError(f"Cluster {context.provider.name} is {condition}.", "./inv start, or ./inv delete to remove it as it is")


def kubeconfig(context: Context) -> str:
    """The path of the kubeconfig file of the running cluster; under --dry, whether it runs or not. Raises ClusterError."""
    return context.provider.kubeconfig if context.report.dry else context.cluster.kubeconfig


def docker_env(context: Context, unset: bool) -> str:
    """The lines for a person's shell: comments, if the cluster has no engine of its own. Raises ClusterError."""
    provider = context.provider
    lines = provider.docker_env(unset) if isinstance(provider, NodeEngine) else None
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
