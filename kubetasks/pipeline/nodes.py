"""Waiting for a cluster of our own: until its API answers, and until its nodes are ready."""

from contextlib import suppress

from kubetasks.errors import ClusterError
from kubetasks.kube import problems, readiness
from kubetasks.kube.client import UNAUTHORIZED, ApiError, CredentialsError
from kubetasks.pipeline.run import Run
from kubetasks.project.words import DOCS, INV
from kubetasks.providers.own import Own
from kubetasks.terminal import wait

SYSTEM = "kube-system"
CRASHING_SECONDS = 25.0  # the back-off exceeds that only after the third crash; one or two heal while a cluster comes up
TOO_MANY_FILES = "too many open files"  # Linux's word for a user's limit of inotify instances too, of which a node needs 15 to 28
REFUSED_SECONDS = 5.0  # until a new API server has read whom it trusts


def wait_for_api(run: Run) -> bool:
    """Wait until the API answers; False if it does so already. Raises ClusterError."""
    if isinstance(_answers(run), wait.Done):
        return False
    with run.do.step("Waiting for the API") as at:
        wait.until_done(
            lambda: _answers(run),
            ClusterError,
            f"Cluster {run.provider.name} is not up",
            f"{INV} stop start; or {INV} delete start, which loses what is in it",
            timeout=run.settings.timeout,
            on_change=at,
        )
    return True


def wait_for(run: Run) -> bool:
    """Wait until every node is ready; False if that was so already. Raises ClusterError.

    Nodes come back by themselves after a reboot.
    """
    kube, since, timeout = run.kube, run.cluster.since, run.settings.timeout

    @kube.surviving
    def check() -> wait.State:
        state = readiness.node_state(kube.list("Node"), kube.list("Lease", "kube-node-lease"), since)
        return state if isinstance(state, wait.Done) else _crashing(run) or state

    if isinstance(check(), wait.Done):
        return False
    with run.do.step("Waiting for the nodes" if len(since) > 1 else "Waiting for the node") as at:
        late = f"Cluster {run.provider.name} is not ready"
        wait.until_done(check, ClusterError, late, f"{INV} delete start creates it again", timeout=timeout, on_change=at)
    return True


def _crashing(run: Run) -> wait.Failed | None:
    """What keeps crashing of the cluster's own, for example its pod network, without which no node becomes ready."""
    since = run.cluster.since
    for pod in run.kube.list("Pod", SYSTEM):
        problem = problems.of_pod(pod, problems.Evidence())
        if (
            problem is None
            or problem.code != "crash-loop"
            or not readiness.crashed_since(pod, since.get(pod["spec"]["nodeName"]))
        ):
            continue
        last = ""
        with suppress(ClusterError, ApiError):  # the sentence is worth more than the log
            last = run.kube.log(SYSTEM, problem.name, problem.container, 1, previous=True).strip()
        hint = f"{INV} delete start creates it again"
        if TOO_MANY_FILES in last:
            more = "sudo sysctl fs.inotify.max_user_instances=512 on the engine's machine"
            hint = f"{more}, then {INV} stop start: {DOCS}/setup.md"
        told = f"Cluster {run.provider.name} does not come up. {problem.sentence} {last}".strip()
        return wait.Failed(told, hint, problem.code, problem.container, CRASHING_SECONDS)
    return None


def _answers(run: Run) -> wait.State:
    """Whether the API server answers and accepts our kubeconfig; one that has just started may refuse it for a moment."""
    try:
        with run.kube.waited_for():
            run.kube.list("Node")
    except (ClusterError, ApiError) as error:
        if isinstance(error, CredentialsError) or (isinstance(error, ApiError) and error.status == UNAUTHORIZED):
            return wait.Failed(error.sentence, error.hint, "credentials", grace=REFUSED_SECONDS)
        if isinstance(run.provider, Own) and (ended := run.provider.ended()):
            return wait.Failed(ended.sentence, ended.hint)
        return wait.Pending(error.sentence.rstrip("."))
    return wait.Done()
