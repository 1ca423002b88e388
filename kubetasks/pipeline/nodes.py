"""Wait for a cluster that kubetasks created: until its API server answers, and until its nodes are ready."""

from kubetasks.errors import ClusterError
from kubetasks.kube import states
from kubetasks.kube.client import UNAUTHORIZED, ApiError, CredentialsError
from kubetasks.pipeline.run import Run
from kubetasks.project.words import DOCS, INV
from kubetasks.providers.own import Own
from kubetasks.terminal import wait

REFUSED_SECONDS = 5.0  # until a new API server has loaded the authorities that it trusts


def wait_for_api(run: Run) -> bool:
    """Wait until the API server answers; return False if it already does. Raises ClusterError."""
    if isinstance(_answers(run), wait.Done):
        return False
    late, hint = (
        f"Cluster {run.provider.name} is not up",
        f"{INV} stop start; or {INV} delete start, which deletes everything in it",
    )
    run.wait("Waiting for the API", lambda: _answers(run), ClusterError, late, hint)
    return True


def wait_for(run: Run) -> bool:
    """Wait until every node is ready; return False if they already are. Raises ClusterError.

    After a reboot, nodes come back by themselves.
    """
    kube, since = run.kube, run.cluster.since

    @kube.surviving
    def check() -> wait.State:
        return states.node_state(kube.list("Node"), kube.list("Lease", "kube-node-lease"), since)

    if isinstance(check(), wait.Done):
        return False
    # if there are more nodes than inotify instances allow, the pod network of one crashes
    more = f"sudo sysctl fs.inotify.max_user_instances=512 allows more nodes ({DOCS}/setup.md)"
    text = f"Waiting for the {'nodes' if len(since) > 1 else 'node'}"
    late = f"Cluster {run.provider.name} is not ready"
    run.wait(text, check, ClusterError, late, f"{INV} delete start creates it again; {more}")
    return True


def _answers(run: Run) -> wait.State:
    """Check that the API server answers and accepts the kubeconfig; one that has just started may reject it for a moment."""
    try:
        with run.kube.without_retries():
            run.kube.list("Node")
    except (ClusterError, ApiError) as error:
        if isinstance(error, CredentialsError) or (isinstance(error, ApiError) and error.status == UNAUTHORIZED):
            return wait.Failed(error.sentence, error.hint, "credentials", grace=REFUSED_SECONDS)
        if isinstance(run.provider, Own) and (ended := run.provider.ended()):
            return wait.Failed(ended.sentence, ended.hint)
        return wait.Pending(error.sentence.rstrip("."))
    return wait.Done()
