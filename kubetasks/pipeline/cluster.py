"""Create, start, stop and delete the cluster, and install a load balancer if it has none."""

import shlex
import sys
from functools import partial
from pathlib import Path

from kubetasks import providers
from kubetasks.engine import access
from kubetasks.errors import ClusterError, ExposeError, RolloutError
from kubetasks.kube.client import ApiError
from kubetasks.pipeline import candidates, nodes, waits
from kubetasks.pipeline.run import Run
from kubetasks.project.words import INV, INVOKE
from kubetasks.providers import metallb
from kubetasks.providers.own import Own
from kubetasks.setup import requirements
from kubetasks.terminal import shell


def start(run: Run) -> None:
    """Start the cluster, or create it, and wait until the application deployed in it is ready again. Raises ClusterError."""
    if ensure(run):
        run.do.unless_dry(lambda: _wait_for_application(run))


def _wait_for_application(run: Run) -> None:
    deployment = run.seen.deployment
    if deployment is None:
        return
    try:
        waits.wait_until_ready(run, "Waiting for the pods", [deployment])
        waits.wait_until_served(run)
    except (RolloutError, ExposeError) as error:  # do not fail: it takes a running cluster to fix a deployment
        run.report.say(f"The cluster is up; the deployment is not ready: {error.message}")


def ensure(run: Run) -> bool:
    """Make sure that the cluster runs and has a load balancer; return True if it has just come up. Raises ClusterError."""
    provider = run.provider
    if not isinstance(provider, Own):
        run.do.unless_dry(lambda: _require_answer(run))
        return False
    started = run.do.known(provider.start, None)
    if started is None:
        return False
    facts, phase = started
    new, changed = phase in ("missing", "incomplete"), phase != "running"
    if facts:
        run.cluster = facts
    changed |= bool(run.do.unless_dry(lambda: nodes.wait_for_api(run)))
    if facts.subnet if facts else new and provider.gives_addresses:
        _install_load_balancer(run)  # before the nodes are ready: its pods start as soon as one is
    if changed:
        run.do(["kubectl", "wait", "--for=condition=Ready", "nodes", "--all"], lambda _: nodes.wait_for(run))
    else:
        changed = bool(run.do.unless_dry(lambda: nodes.wait_for(run)))
    if changed:
        run.forget("seen")
    else:
        run.report.say(f"Cluster {provider.name} is running.")
    return changed


def _require_answer(run: Run) -> None:
    run.seen.require_namespace()  # also proves that the API server answers
    run.report.say(f"Cluster {run.provider.name} is running.")


def _install_load_balancer(run: Run) -> None:
    # an API server that has just started may not serve MetalLB's kinds yet
    if run.do.unless_dry(lambda: run.kube.again(partial(metallb.installed, run.kube, run.cluster.subnet), ApiError)):
        return
    manifest, owner = requirements.LOAD_BALANCER.find(None, run.settings), run.app.owner
    if run.do.unless_dry(lambda: manifest.present) is False:
        raise ClusterError("MetalLB's manifest is missing.", f"{INV} setup")
    file = shlex.quote(manifest.reference)
    apply = f"kubectl apply --server-side --field-manager={owner.name}"
    install = (
        f"{apply} -f {file}",
        f"kubectl label --overwrite -f {file} {owner.selector}",
        "kubectl delete validatingwebhookconfiguration metallb-webhook-configuration",
        "kubectl label nodes --all node.kubernetes.io/exclude-from-external-load-balancers-",
    )
    # the address pool depends on the subnet, which the command itself looks up
    subnet = shell.line(["docker", "network", "inspect", run.provider.name, "--format", "{{(index .IPAM.Config 0).Subnet}}"])
    settings = shell.line([sys.executable, "-m", "kubetasks.providers.metallb"])
    configure = f"{settings} $({subnet}) {owner.name} | {apply} -f -"
    with run.do.step("Installing the load balancer (MetalLB)"):
        path = Path(manifest.reference)
        run.do("\n".join(install), lambda _: run.kube.again(partial(metallb.install, run.kube, path), ApiError))
        run.do(configure, lambda _: run.kube.again(partial(metallb.configure, run.kube, run.cluster.subnet), ApiError))


def stop(run: Run) -> bool:
    """Stop the cluster; return False if it was not running. Raises ClusterError for an existing cluster."""
    with run.locked():
        own = providers.lifecycle(run.provider)
        run.forget("cluster", "kube", "seen")
        return own.stop()


def delete(run: Run) -> bool:
    """Delete the cluster, its network and its files; return False if it did not exist. Raises ClusterError, LeftoverError."""
    with run.locked():
        own = providers.lifecycle(run.provider)
        if claims := candidates.claims(run):
            run.report.say(f"Deleting the cluster also deletes {', '.join(claims)}, with the data.")
        run.forget("cluster", "kube", "seen")
        return own.delete()


def kubeconfig(run: Run) -> str:
    """Return the path of the cluster's kubeconfig; under --dry, even if there is none. Raises ClusterError."""
    path = run.provider.kubeconfig
    if run.do.unless_dry(run.provider.phase) == "stopped" and Path(path).exists():  # without it, kubectl would take another one
        run.report.say(f"Cluster {run.provider.name} is stopped: {INV} start")
        return path
    return run.do.unless_dry(lambda: run.cluster.kubeconfig) or path


def docker_env(run: Run, unset: bool) -> str:
    """Return the lines for the user's shell, only comments if the cluster has no engine of its own. Raises ClusterError."""
    lines = run.provider.docker_env(unset)
    if lines is not None:
        return lines
    name = access.node_of_shell()
    if unset and name:
        chosen = f"{INVOKE}_CLUSTER_PROVIDER=minikube {INVOKE}_CLUSTER_NAME={name}"
        return f"# {chosen} {INV} docker-env --unset: this shell uses that node's engine"
    if unset:
        return "# nothing to unset: your docker client was not changed"
    return (
        f"# the cluster has no Docker engine for builds: `{INV} build` uses yours, and `{INV} deploy` loads the image.\n"
        f"# A minikube cluster that is created with {INVOKE}_CLUSTER_RUNTIME=docker has one."
    )
