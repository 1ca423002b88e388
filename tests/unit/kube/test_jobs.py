"""How far a job is that must end before the application runs."""

from typing import Any

import pytest

from kubetasks.kube import jobs
from kubetasks.kube.problems import Evidence
from kubetasks.terminal.wait import Done, Failed, Pending


def job(failed: int = 0, **conditions: str) -> dict[str, Any]:
    told = [{"type": kind, "status": status, "message": "no more attempts"} for kind, status in conditions.items()]
    return {"metadata": {"name": "migrate"}, "status": {"conditions": told, "failed": failed}}


def pod(name: str, created: str = "2026-01-01T00:00:00Z", **state: Any) -> dict[str, Any]:
    statuses = [{"name": "migrate", "image": "shop:1", "state": state}]
    spec = {"containers": [{"name": "migrate"}]}
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec, "status": {"containerStatuses": statuses}}


@pytest.mark.parametrize(
    ("live", "state"),
    [
        (job(Complete="True"), Done()),
        (job(), Pending("its pod has not ended")),
        (job(failed=2, Failed="False"), Pending("2 attempts have failed")),
        (None, Failed("The job is gone.", "./inv deploy")),
    ],
)
def test_how_far_it_is(live: dict[str, Any] | None, state: object) -> None:
    assert jobs.state(live, [], Evidence(), 1.0) == state


def test_one_that_failed_is_told_at_its_newest_pod() -> None:
    live, pods = job(Failed="True"), [pod("old"), pod("new", "2026-01-02T00:00:00Z")]
    found = jobs.problem(live, pods, Evidence())
    assert found
    assert (found.name, found.container, found.sentence) == ("new", "migrate", "Job migrate failed: no more attempts.")
    assert isinstance(jobs.state(live, pods, Evidence(), 1.0), Failed)


def test_a_pod_that_does_not_start_is_a_problem_before_the_job_has_failed() -> None:
    state = jobs.state(job(), [pod("new", waiting={"reason": "ErrImageNeverPull"})], Evidence(), 1.0)
    assert isinstance(state, Failed)
    assert state.code == "image-never-pull"


def test_one_that_is_late_says_what_is_missing() -> None:
    assert jobs.late(job(), [], 120, "its pod has not ended").sentence == (
        "The rollout is not complete, with nothing new for 120 s: job/migrate: its pod has not ended."
    )
