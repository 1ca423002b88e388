"""The cluster: made, started, stopped and deleted, with a load balancer in it."""

import shlex
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kubetasks import loadbalancer, shell, wait
from kubetasks.errors import ClusterError, EngineError
from kubetasks.kube import rollout
from kubetasks.kube.client import ApiError
from kubetasks.providers import kind_recipe
from kubetasks.settings import OWNER, OWNER_LABEL
from kubetasks.setup import images
from kubetasks.steps.session import Session

if TYPE_CHECKING:
    from tenacity import AttemptManager


def start(session: Session) -> datetime | None:
    """A running cluster with a load balancer; since when it runs, where it had to be made or started. Raises ClusterError."""
    report, settings = session.report, session.settings
    if settings.provider == "kind" and (report.echo or report.dry):
        _mirror_start(session)
    if report.dry:
        return None
    started = datetime.now(UTC)
    cluster, changed = session.provider.ensure()
    if settings.provider == "existing":
        session.require_namespace()  # asks it something: its owner may have stopped it
    changed = changed or (settings.provider == "kind" and not _answers(session))
    if changed:
        _wait_for_nodes(session, started)
    if settings.provider == "kind":
        _install_load_balancer(session)
    if changed:
        return started
    report.say(f"Cluster {cluster.name} is running.")
    return None


def _mirror_start(session: Session) -> None:
    report = session.report
    try:
        condition = session.kind.condition()
    except EngineError:
        report.mirror("# no container engine answers: ./inv setup")
        return
    if condition == "missing":
        report.mirror(*kind_recipe.mirror_create(session.kind.recipe()), "kubectl wait --for=condition=Ready nodes --all")
        report.mirror(*_mirror_load_balancer(session))
    elif condition == "stopped":
        report.mirror(kind_recipe.mirror_start(session.settings.cluster))


def _mirror_load_balancer(session: Session) -> tuple[str, ...]:
    """What installs the same by hand. The pool depends on the network, which may not be there yet: the shell asks for it."""
    manifest = shlex.quote(str(images.metallb_manifest(session.settings)))
    network = shell.line(
        ["docker", "network", "inspect", session.settings.cluster, "--format", "{{(index .IPAM.Config 0).Subnet}}"]
    )
    documents = shlex.join([sys.executable, "-m", "kubetasks.loadbalancer"])
    apply = f"kubectl apply --server-side --field-manager={OWNER}"
    return (
        f"{apply} -f {manifest}",
        f"kubectl label --overwrite -f {manifest} {OWNER_LABEL}={OWNER}",
        "kubectl delete validatingwebhookconfiguration metallb-webhook-configuration",
        f"{documents} $({network}) | {apply} -f -",
    )


def _answers(session: Session) -> bool:
    """Whether the API can be spoken to: a node that the engine has just started again on its own runs before it can."""
    try:
        session.kube.list("Node")
    except (ClusterError, ApiError):
        return False
    return True


def _wait_for_nodes(session: Session, started: datetime) -> None:
    """Until the API answers and every node is ready."""
    kube = session.kube

    def check() -> wait.State:
        return rollout.node_state(kube.list("Node"), kube.list("Lease", "kube-node-lease"), started)

    with session.report.step("Waiting for the node") as step:
        for attempt in _until_answered(session.settings.timeout):
            with attempt:
                kube.list("Node")
        with kube.changes([("Node", "", {}), ("Lease", "kube-node-lease", {})]) as changes:
            end = wait.until(check, timeout=session.settings.timeout, changed=changes.wait, on_change=step.at)
        if not isinstance(end, wait.Done):
            raise ClusterError(
                f"Cluster {session.cluster.name} did not become ready in {session.settings.timeout:.0f} s.",
                f"docker logs {session.cluster.name}-control-plane says more; ./inv delete start makes it anew",
            )


def _until_answered(seconds: float) -> "Iterable[AttemptManager]":
    """Attempts at what may not be up yet: an API server that has just been started, a kind of object just made known."""
    import tenacity

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((ClusterError, ApiError)),
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_random(0.1, 0.4),
        reraise=True,
    )


def _install_load_balancer(session: Session) -> None:
    if loadbalancer.installed(session.kube):
        return
    manifest = images.metallb_manifest(session.settings)
    if not manifest.exists():
        raise ClusterError("MetalLB's manifest is missing.", "./inv setup")
    with session.report.step("Installing the load balancer (MetalLB)"):
        loadbalancer.install(session.kube, manifest)
        for attempt in _until_answered(10):
            with attempt:
                loadbalancer.configure(session.kube, session.cluster.subnet)


def stop(session: Session) -> bool:
    """A cluster that does not run; False where it did not. Raises ClusterError for one that is not ours to stop."""
    session.require_our_cluster()
    if not session.report.mirror(f"docker stop {session.settings.cluster}-control-plane"):
        return True
    return session.provider.stop()


def delete(session: Session) -> bool:
    """No cluster, no network of it, no file of it; False where there was none. Raises ClusterError, LeftoverError."""
    session.require_our_cluster()
    name = session.settings.cluster
    if not session.report.mirror(
        shell.line(["kind", "delete", "cluster", "--name", name]), shell.line(["docker", "network", "rm", name])
    ):
        return True
    return session.provider.delete()


def runs(session: Session) -> bool:
    """Whether there is a cluster to clean. Raises ClusterError where it is stopped."""
    condition = session.provider.condition()
    if condition == "missing":
        return False
    if condition == "stopped":
        raise ClusterError(
            f"Cluster {session.settings.cluster} is stopped.", "./inv start, or ./inv delete to remove it as it is"
        )
    return True
