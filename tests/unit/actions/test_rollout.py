"""Looking at a rollout: to list pods is dear while they start, so for a moment the deployment alone is looked at."""

from typing import Any

import pytest

from kubetasks import wait
from kubetasks.actions import rollout
from kubetasks.actions.rollout import Look
from tests.unit.actions import fakes


class Listing(fakes.FakeKube):
    """Counts the lists of pods."""

    lists = 0

    def list(self, kind: str, namespace: str = "", **selectors: str) -> list[dict[str, Any]]:
        self.lists += kind == "Pod"
        return super().list(kind, namespace, **selectors)


def deployment(ready: int) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": ready}
    return {
        "kind": "Deployment",
        "metadata": {"name": "simple-server", "generation": 1},
        "spec": {"replicas": 3},
        "status": status,
    }


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time by which looks go; the test moves it."""
    now = [100.0]
    monkeypatch.setattr("kubetasks.actions.rollout.time.monotonic", lambda: now[0])
    return now


def test_while_nothing_is_wrong_pods_are_listed_now_and_then_and_once_the_deployment_is_complete(time: list[float]) -> None:
    found = deployment(ready=0)
    kube = Listing(Deployment=[found])
    look = Look(fakes.context(fakes.FakeProvider(), kube), "")
    pauses: list[float] = []

    assert look.check() == wait.Pending("0 of 3 pods ready")
    look.pause(pauses.append, 1.0)
    time[0] += 0.1
    assert look.check() == wait.Pending("0 of 3 pods ready")
    look.pause(pauses.append, 1.0)
    assert kube.lists == 1
    time[0] += rollout.GLANCE_SECONDS
    look.check()
    assert kube.lists == 2
    found["status"]["availableReplicas"] = 3
    assert look.check() == wait.Done("3 of 3 pods ready")
    assert kube.lists == 3
    assert pauses == [1.0, pytest.approx(rollout.GLANCE_SECONDS - 0.1)], "after a glance, no longer than until the next look"


def test_what_is_wrong_is_looked_at_each_time(time: list[float]) -> None:  # noqa: ARG001
    paused = deployment(ready=3)
    paused["spec"]["paused"] = True
    paused["status"]["updatedReplicas"] = 1
    kube = Listing(Deployment=[paused])
    look = Look(fakes.context(fakes.FakeProvider(), kube), "")
    for _ in range(3):
        assert isinstance(look.check(), wait.Failed)
    assert kube.lists == 3
