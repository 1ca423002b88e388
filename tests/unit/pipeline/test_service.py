"""Which address `expose` waits for."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from kubetasks.errors import ExposeError
from kubetasks.pipeline import converge, probe, seen, service
from kubetasks.terminal.report import Step
from tests.unit.kube.answers import recorded
from tests.unit.kube.fakes import FakeKube
from tests.unit.pipeline.fakes import FACTS, FakeProvider, run_on

BALANCED = recorded("service")
SLICES = recorded("endpointslices")


OURS = SLICES[0]["endpoints"][0]["targetRef"]["name"]


@pytest.fixture(autouse=True)
def everything_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "health", lambda *_: OURS)


def ways(found: dict[str, Any], told: list[str]) -> list[str]:
    made = run_on(FakeProvider(), FakeKube(Service=[found], EndpointSlice=SLICES))
    (port,) = found["spec"]["ports"]
    made.cluster = dataclasses.replace(FACTS, load_balancer=True, mapped_port=(port["nodePort"], 8080))
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(Step, "at", lambda _step, detail: told.append(detail))
    try:
        return [one.way for one in converge.wait_for_addresses(made, changed=False, before=True)]
    finally:
        monkeypatch.undo()


def test_the_load_balancers_address_is_waited_for_beside_the_mapped_port() -> None:
    assert ways(BALANCED, []) == ["mapped port", "load balancer"]


def test_an_address_counts_once_a_pod_of_this_service_answers_there(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = ["of-the-service-before", "of-the-service-before", OURS, OURS]
    monkeypatch.setattr(probe, "health", lambda app, *_: answers.pop(0) if app.pod_key else None)
    told: list[str] = []
    assert ways(BALANCED, told) == ["mapped port", "load balancer"]
    assert answers == []
    assert told[0].startswith("waiting for an answer at http://127.0.0.1:8080/")


def balance_after(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service gets the load balancer's address only after so many looks at it."""
    before: Iterator[dict[str, Any]] = iter([{"loadBalancer": {}}] * looks)
    find = seen.find_service
    monkeypatch.setattr(seen, "find_service", lambda given: {**(find(given) or {}), "status": next(before, BALANCED["status"])})


def test_a_new_address_is_asked_impatiently_however_long_it_was_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, float]] = []

    def health(_app: object, url: str, seconds: float) -> str:
        asked.append((url, seconds))
        return OURS if len(asked) > 4 else ""

    balance_after(3, monkeypatch)
    monkeypatch.setattr(probe, "health", health)
    assert ways(BALANCED, []) == ["mapped port", "load balancer"]
    assert next(seconds for url, seconds in asked if not url.startswith("http://127.0.0.1")) == probe.CLOSED_SECONDS


class Clock:
    """Each look takes a second."""

    def __init__(self) -> None:
        self.now = 1.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, _seconds: float) -> None:
        self.now += 1


def test_an_address_that_comes_late_has_its_time_to_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, silent = Clock(), iter(["balanced"])

    def health(_app: object, url: str, _seconds: float) -> str | None:
        return None if not url.startswith("http://127.0.0.1") and next(silent, "") else OURS

    balance_after(4, monkeypatch)
    monkeypatch.setattr(converge, "time", clock)
    monkeypatch.setattr("time.sleep", clock.wait)
    monkeypatch.setattr(probe, "health", health)
    assert ways(BALANCED, []) == ["mapped port", "load balancer"]


def test_a_load_balancer_that_gives_no_address_does_not_hide_the_one_that_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(converge, "BALANCER_SECONDS", 0.2)
    told: list[str] = []
    assert ways({**BALANCED, "status": {"loadBalancer": {}}}, told) == ["mapped port"]
    assert told == ["no load balancer has given it an address yet"]


@pytest.mark.parametrize(("ready", "requests"), [(3, 60), (20, 328)])
def test_traffic_sends_enough_to_meet_each_ready_pod(monkeypatch: pytest.MonkeyPatch, ready: int, requests: int) -> None:
    one = SLICES[0]["endpoints"][0]
    slices = [{"ports": [], "endpoints": [{**one, "targetRef": {"name": f"pod-{number}"}} for number in range(ready)]}]
    made = run_on(FakeProvider(), FakeKube(Service=[BALANCED], EndpointSlice=slices))
    monkeypatch.setattr(probe, "first_answering", lambda _app, known: known[0])
    monkeypatch.setattr(probe, "spread", lambda _app, _url, number, _at: [{"requests": number - 1}])
    found = service.traffic(made, None)
    assert found is not None
    assert (found["ready"], found["requests"], found["failed"]) == (ready, requests, 1)


@pytest.mark.parametrize(
    ("deployed", "hint"), [([], "./inv build deploy"), ([0], "./inv scale"), ([3], "./inv diagnose")], ids=str
)
def test_traffic_that_no_pod_can_answer_says_what_to_type(deployed: list[int], hint: str) -> None:
    deployments = [{"metadata": {"name": "simple-server"}, "spec": {"replicas": number}} for number in deployed]
    made = run_on(FakeProvider(), FakeKube(Service=[BALANCED], EndpointSlice=[], Deployment=deployments))
    with pytest.raises(ExposeError) as told:
        service.traffic(made, None)
    assert told.value.hint == hint
