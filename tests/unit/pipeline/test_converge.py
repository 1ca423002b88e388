"""Looking at a rollout: to list pods is dear while they start, so for a moment the deployment alone is looked at."""

import dataclasses
from typing import Any

import pytest

from kubetasks.errors import ClusterError, ExposeError
from kubetasks.kube.service import Address
from kubetasks.pipeline import converge, probe, seen
from kubetasks.pipeline.converge import PAUSE_FACTOR, QUICK_SECONDS, RolloutCheck
from kubetasks.terminal import wait
from tests.unit.pipeline import fakes


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


class Clock:
    """Stands still until the test moves it."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_while_nothing_is_wrong_pods_are_listed_now_and_then_and_once_the_deployment_is_complete() -> None:
    found, clock = deployment(ready=0), Clock()
    kube = Listing(Deployment=[found])
    check = RolloutCheck(fakes.run_on(fakes.FakeProvider(), kube), "", clock)
    pauses: list[float] = []

    assert check() == wait.Pending("0 of 3 pods ready")
    check.pause(pauses.append, 1.0)
    clock.now += 0.1
    assert check() == wait.Pending("0 of 3 pods ready")
    check.pause(pauses.append, 1.0)
    assert kube.lists == 1
    clock.now += QUICK_SECONDS
    check()
    assert kube.lists == 2
    found["status"]["availableReplicas"] = 3
    assert check() == wait.Done("3 of 3 pods ready")
    assert kube.lists == 3
    assert pauses == [1.0, pytest.approx(QUICK_SECONDS - 0.1)], "after a quick check, no longer than until the next look"


def test_a_look_that_takes_long_is_repeated_the_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    kube = Listing(Deployment=[deployment(ready=0)])
    listed = kube.list

    def slowly(*words: str, **selectors: str) -> list[dict[str, Any]]:
        clock.now += 0.1  # for each kind of object
        return listed(*words, **selectors)

    monkeypatch.setattr(kube, "list", slowly)
    began = clock.now
    check = RolloutCheck(fakes.run_on(fakes.FakeProvider(), kube), "", clock)
    check()
    took = clock.now - began
    assert took * PAUSE_FACTOR > QUICK_SECONDS
    clock.now += took * PAUSE_FACTOR - 0.01
    check()
    assert kube.lists == 1
    clock.now += 0.02
    check()
    assert kube.lists == 2


def test_while_the_api_server_is_away_the_pauses_are_not_short(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    kube = Listing(Deployment=[deployment(ready=0)])
    check = RolloutCheck(fakes.run_on(fakes.FakeProvider(), kube), "", clock)
    check()
    check()

    def away(*_: object) -> None:
        raise ClusterError("The API server does not answer.")

    monkeypatch.setattr(kube, "get", away)
    clock.now += 10
    with pytest.raises(ClusterError):
        check()
    pauses: list[float] = []
    check.pause(pauses.append, 1.0)
    assert pauses == [1.0]


def test_what_is_wrong_is_looked_at_each_time() -> None:
    paused = deployment(ready=3)
    paused["spec"]["paused"] = True
    paused["status"]["updatedReplicas"] = 1
    kube = Listing(Deployment=[paused])
    check = RolloutCheck(fakes.run_on(fakes.FakeProvider(), kube), "")
    for _ in range(3):
        assert isinstance(check(), wait.Failed)
    assert kube.lists == 3


@pytest.mark.parametrize(
    ("answer", "told"),
    [(None, "a request had no answer"), ({"pod": "gone"}, "a terminating pod still gets requests")],
)
def test_what_traffic_waits_for_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, str] | None, told: str
) -> None:
    made = fakes.run_on(fakes.FakeProvider(), fakes.FakeKube())
    made.settings = dataclasses.replace(made.settings, timeout=0.05)
    address = Address("http://127.0.0.1:1/", "mapped port")
    monkeypatch.setattr(seen, "find_service", lambda _run: {"spec": {}, "status": {}})
    monkeypatch.setattr(seen, "addresses", lambda *_: [address])
    monkeypatch.setattr(seen, "deployment", lambda _run: deployment(ready=3))
    monkeypatch.setattr(seen, "ready_pods", lambda _run: frozenset("abc"))
    monkeypatch.setattr(probe, "first_answering", lambda *_: address)
    monkeypatch.setattr(probe, "ask", lambda *_: answer)
    with pytest.raises(ExposeError, match=told):
        converge.wait_until_served(made)
