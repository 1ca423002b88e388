"""Diagnose the current state: read the cluster, show the cause on one screen, and write the evidence to a file."""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

from kubetasks.errors import ClusterError, EngineError, ExposeError, RolloutError, SettingError, TaskError
from kubetasks.kube import client, diagnosis, readiness
from kubetasks.kube.client import UNAVAILABLE, ApiError, Object
from kubetasks.kube.diagnosis import Diagnosis
from kubetasks.kube.problems import Problem
from kubetasks.kube.readiness import Rollout
from kubetasks.pipeline import judge
from kubetasks.pipeline.run import Run
from kubetasks.project.words import INV
from kubetasks.terminal import shell, wait

LOG_TAIL = 200  # lines of the log, in the file


def now(run: Run) -> Diagnosis | None:
    """Diagnose the cluster, the application and its service; return None under --dry. Raises OwnershipError."""
    looks = run.kubectl("get", "deployments,pods,services"), run.kubectl("get", "events", "--sort-by=.lastTimestamp")
    return run.do("\n".join(map(shell.line, looks)), lambda _: _found(run, _of_application))


def of_namespace(run: Run, first: Sequence[Object] = ()) -> Diagnosis:
    """Diagnose the cluster, the objects in `first`, the application and its service, then all else with pods there.

    No task fixes objects outside the application, so for them no next command is given. Raises OwnershipError.
    """
    return _found(run, lambda run: _of_namespace(run, first))


def _found(run: Run, look: Callable[[Run], Diagnosis]) -> Diagnosis:
    try:
        return _of_cluster(run) or look(run)
    except EngineError as error:
        return Diagnosis("engine-unavailable", error.sentence, error.hint)
    except ApiError as error:
        return Diagnosis("api-refused", error.sentence, error.hint)
    except ClusterError as error:
        return Diagnosis(UNAVAILABLE, error.sentence, error.hint)


def _of_cluster(run: Run) -> Diagnosis | None:
    """Return why the cluster cannot be queried, according to its provider, or None if it is running."""
    phase = run.provider.phase()
    if phase == "running":
        return None
    try:
        run.provider.cluster()
    except ClusterError as error:
        return Diagnosis(f"cluster-{phase}", error.sentence, error.hint)
    return None


def _of_application(run: Run) -> Diagnosis:
    try:
        _ = run.manifests
    except SettingError as error:
        return Diagnosis("manifests", error.sentence, error.hint)
    rollout = run.seen.rollout
    rollouts = [*map(run.seen.rollout_of, run.others), rollout]  # what the application may need comes first
    if wrong := _first_problem(run, rollouts):
        return wrong
    if rollout.workload is None:
        try:
            run.seen.require_namespace()
        except ClusterError as error:
            return Diagnosis("namespace-missing", error.sentence, error.hint)
        return Diagnosis("not-deployed", f"Nothing is deployed in namespace {run.settings.namespace}.", f"{INV} build deploy")
    if unfinished := _first_progress(run, rollouts):
        return unfinished
    progress = readiness.progress(rollout, run.cluster.since)
    return _of_service(run, rollout.workload) or Diagnosis(diagnosis.HEALTHY, f"{run.app.name}: {progress.detail}.")


def _of_namespace(run: Run, first: Sequence[Object]) -> Diagnosis:
    if wrong := _first_problem(run, map(run.seen.rollout_of, first)):
        return replace(wrong, next="")
    found = _of_application(run)
    if found.code not in (diagnosis.HEALTHY, "not-deployed"):
        return found
    roots = run.seen.roots()
    names = [client.describe(item.workload) for item in roots if item.workload]
    if names and found.code != diagnosis.HEALTHY:
        found = Diagnosis(diagnosis.HEALTHY, f"Nothing is wrong with {', '.join(names)}.")
    return replace(_first_problem(run, roots) or _first_progress(run, roots) or found, next="")


def _first_problem(run: Run, rollouts: Iterable[Rollout]) -> Diagnosis | None:
    """Diagnose the first problem of the existing objects, and mention the others; None if nothing is wrong."""
    found = _problems(rollout for rollout in rollouts if rollout.workload)
    return _explain(run, found) if found else None


def _problems(rollouts: Iterable[Rollout]) -> list[tuple[Problem, Rollout]]:
    return [(problem, rollout) for rollout in rollouts if (problem := readiness.problem(rollout))]


def _first_progress(run: Run, rollouts: Iterable[Rollout]) -> Diagnosis | None:
    """Return the progress of the first existing object that is not ready yet, or None."""
    for found in rollouts:
        progress = readiness.progress(found, run.cluster.since)
        if found.workload and not isinstance(progress, wait.Done):
            own = client.describe(found.workload) == run.app.deployment
            subject = "The rollout is in progress" if own else f"{client.describe(found.workload)} is not ready yet"
            return Diagnosis("progressing", f"{subject}: {progress.detail}.", f"{INV} status")
    return None


def _of_service(run: Run, deployment: Object) -> Diagnosis | None:
    """Return why the service with the owner's label fails although its pods are ready; None if it answers or is not asked."""
    service = run.seen.service
    if service is None or not run.app.owner.owns(service["metadata"].get("labels")):
        return None
    mismatch = judge.mismatch(service, deployment)
    if mismatch:
        return Diagnosis("service-mismatch", mismatch.reason, mismatch.hint)
    if not readiness.replicas(deployment) or run.provider.shared:
        return None

    def check() -> wait.State:
        try:
            run.seen.require_answer()
        except ExposeError as error:
            run.forget("seen")
            return wait.Failed(error.sentence, error.hint, grace=judge.EFFECT_SECONDS)
        return wait.Done()

    end = wait.until(check, timeout=judge.EFFECT_SECONDS)
    return Diagnosis("no-answer", end.reason, end.hint) if isinstance(end, wait.Failed) else None


def _explain(run: Run, found: Sequence[tuple[Problem, Rollout]]) -> Diagnosis:
    """Diagnose the first problem, and mention the others. The evidence is written to the file that `details` names."""
    (problem, rollout), *others = found
    events = run.seen.events()
    log = _log(run, problem, rollout)
    result = replace(diagnosis.diagnose(problem, rollout, events, log), also=[other.sentence for other, _ in others])
    # without the objects' templates, which may contain a password
    statuses = {client.describe(item): item.get("status", {}) for item in [*rollout.replica_sets, *rollout.pods]}
    documents = [json.dumps(part, indent=2) for part in (statuses, [diagnosis.event_line(event) for event in events])]
    parts = [result.text(), *documents, *log]
    where = f"{run.provider.name}-{run.settings.namespace}".replace("/", "_")
    file = run.settings.cache / "logs" / f"diagnosis-{where}.log"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)  # logs are not redacted
        file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    except OSError:  # the screen matters more than the file
        return result
    return replace(result, details=str(file))


def require_done(run: Run, end: wait.State, rollouts: Sequence[Rollout]) -> None:
    """Raise RolloutError with a diagnosis of the rollouts, or the state's own error, unless the wait ended with Done."""
    if isinstance(end, wait.Done):
        return
    if isinstance(end, wait.Failed) and end.error:
        raise end.error
    missing = end.reason if isinstance(end, wait.Failed) else end.detail
    found = _problems(rollouts) or [(readiness.late(rollouts[0], run.settings.timeout, missing), rollouts[0])]
    (wrong, _), screen = found[0], ""
    with suppress(TaskError):  # the cluster may be gone by now, but the sentence is known
        screen = _explain(run, found).text()
    raise RolloutError(wrong.sentence, wrong.hint, screen)


def _log(run: Run, problem: Problem, rollout: Rollout) -> list[str]:
    source = diagnosis.log_source(problem, rollout.pods)
    if not source:
        return []
    pod, container, previous = source
    with suppress(ApiError, ClusterError):  # its node may be unreachable, but the rest is known
        return run.kube.log(run.settings.namespace, pod, container, LOG_TAIL, previous=previous).splitlines()
    return []
