"""What is wrong now: read from the cluster, put on one screen, and everything that was read into a file."""

import json
from contextlib import suppress

from kubetasks import equivalents, wait
from kubetasks.actions import state
from kubetasks.actions.context import Context
from kubetasks.actions.state import Rollout
from kubetasks.errors import ClusterError
from kubetasks.kube import client, diagnosis, readiness
from kubetasks.kube.client import ApiError
from kubetasks.kube.diagnosis import Diagnosis
from kubetasks.kube.problems import Problem

LOG_TAIL = 200  # lines in the file


def now(context: Context) -> Diagnosis | None:
    """What is wrong with cluster and application at this moment; None under --dry. Raises EngineError, ClusterError."""
    if not context.report.equivalent(*equivalents.diagnose(context.kubectl)):
        return None
    condition = context.provider.condition()
    if condition != "running":
        try:
            context.provider.cluster()
        except ClusterError as error:
            return Diagnosis(f"cluster-{condition}", error.sentence, error.hint)
    found = state.rollout(context)
    if found.deployment is None:
        state.require_namespace(context)
        return Diagnosis("not-deployed", f"Nothing is deployed in namespace {context.settings.namespace}.", "./inv build deploy")
    problem = readiness.problem(*found)
    if problem:
        return explain(context, problem, found)
    progress = readiness.progress(found.deployment, found.replica_sets, found.pods, context.cluster.since)
    if isinstance(progress, wait.Done):
        return Diagnosis(diagnosis.HEALTHY, f"{context.app.name}: {progress.detail}.")
    return Diagnosis("progressing", f"The rollout is in progress: {progress.detail}.", "./inv status")


def explain(context: Context, problem: Problem, found: Rollout) -> Diagnosis:
    """The problem with what shows it. What was read is in the file that `details` names."""
    events = state.events(context)
    log = _log(context, problem, found)
    made = diagnosis.diagnose(problem, *found[:3], events, log)
    # the objects' states and not their templates, in which somebody may have written a password
    statuses = {client.describe(one): one.get("status", {}) for one in [*found.replica_sets, *found.pods]}
    parts = [made.text(), *(json.dumps(part, indent=2) for part in (statuses, [diagnosis.told(one) for one in events])), *log]
    where = f"{context.provider.name}-{context.settings.namespace}".replace("/", "_")
    file = context.settings.cache / "logs" / f"diagnosis-{where}.log"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)  # logs are shown as they are
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    except OSError:  # the screen is worth more than the file
        return made
    return made.with_details(str(file))


def _log(context: Context, problem: Problem, found: Rollout) -> list[str]:
    source = diagnosis.log_source(problem, found.pods)
    if not source:
        return []
    pod, container, previous = source
    with suppress(ApiError, ClusterError):  # its node may be away: the rest is known
        return context.kube.log(context.settings.namespace, pod, container, LOG_TAIL, previous=previous).splitlines()
    return []
