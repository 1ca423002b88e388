"""Whether a job has ended well, and why not: pure functions of the API's objects."""

from collections.abc import Sequence

from kubetasks.kube import problems
from kubetasks.kube.client import Object
from kubetasks.kube.problems import Evidence, Problem
from kubetasks.project.words import INV
from kubetasks.terminal.wait import Done, Failed, Pending, State


def same(live: Object, wanted: Object, key: str) -> bool:
    """Whether a job has ended well that has the same digest, which is the annotation `key`."""
    digests = {(job["metadata"].get("annotations") or {}).get(key) for job in (live, wanted)}
    return len(digests) == 1 and "Complete" in _conditions(live)


def state(job: Object | None, pods: Sequence[Object], evidence: Evidence, grace: float) -> State:
    """How far a job is, and whether waiting helps. `grace` is what a problem's own is multiplied by, seconds."""
    if job is None:
        return Failed("The job is gone.", f"{INV} deploy")
    if "Complete" in _conditions(job):
        return Done()
    if wrong := problem(job, pods, evidence):
        return Failed(wrong.sentence, wrong.hint, wrong.code, wrong.name, wrong.grace * grace)
    failed = job.get("status", {}).get("failed", 0)
    return Pending(f"{failed} attempts have failed" if failed else "its pod has not ended")


def problem(job: Object, pods: Sequence[Object], evidence: Evidence) -> Problem | None:
    """What is wrong with a job, at its newest pod if it has failed; None if nothing is."""
    if failed := _conditions(job).get("Failed"):
        return problems.of_kind("job-failed", *_newest(pods), job=job["metadata"]["name"], message=failed.get("message", ""))
    failing = [wrong for wrong in (problems.of_pod(pod, evidence) for pod in pods) if wrong and wrong.code != "crash-loop"]
    return next(iter(failing), None)  # how often a container may fail is the job's own matter


def late(job: Object, pods: Sequence[Object], seconds: float, missing: str) -> Problem:
    """The problem of a job that has not ended in time, at its newest pod."""
    name = job["metadata"]["name"]
    return problems.of_kind("timeout", *_newest(pods), seconds=f"{seconds:.0f}", message=f"job/{name}: {missing}")


def _newest(pods: Sequence[Object]) -> tuple[str, str]:
    """The name of the newest pod, and its first container."""
    pod = max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)
    return (pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]) if pod else ("", "")


def _conditions(job: Object) -> dict[str, Object]:
    """The conditions that are true, by type."""
    return {
        condition["type"]: condition for condition in job.get("status", {}).get("conditions", []) if condition["status"] == "True"
    }
