"""What the waits for pods and their answers say."""

import dataclasses
from typing import Any

import pytest

from kubetasks.errors import ExposeError
from kubetasks.kube.service import Address
from kubetasks.pipeline import converge, probe, seen
from tests.unit.pipeline import fakes


def deployment(ready: int) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": ready}
    return {
        "kind": "Deployment",
        "metadata": {"name": "simple-server", "generation": 1},
        "spec": {"replicas": 3},
        "status": status,
    }


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
