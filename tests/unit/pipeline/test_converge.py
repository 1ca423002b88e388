"""What changing the cluster and waiting for its pods say, where a real cluster would need luck to show it."""

import dataclasses
from typing import Any

import pytest

from kubetasks.errors import ExposeError, SettingError
from kubetasks.kube import objects, service
from kubetasks.kube.client import ApiError
from kubetasks.kube.service import Address
from kubetasks.pipeline import converge, probe, seen
from kubetasks.pipeline.desired import Desired
from tests.unit.kube.answers import recorded
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


def exposed(monkeypatch: pytest.MonkeyPatch, refusal: str) -> list[object]:
    """Expose on a cluster with a mapped port that refuses every given node port; return the node ports that it was asked for."""
    theirs = {**recorded("service"), "metadata": {"name": "theirs", "namespace": "other"}}
    made = fakes.run_on(fakes.OwnProvider(changed=False), fakes.FakeKube(Service=[theirs], Deployment=[deployment(ready=3)]))
    made.cluster = dataclasses.replace(fakes.FACTS, mapped_port=(theirs["spec"]["ports"][0]["nodePort"], 8080))
    asked: list[object] = []

    def apply(_kube: object, item: dict[str, Any]) -> bool:
        (port,) = item["spec"]["ports"]
        asked.append(port.get("nodePort"))
        if "nodePort" in port:
            raise ApiError("PATCH", 422, "Invalid", refusal)
        return True

    owners = iter([None])  # nobody has it when it is looked up first
    find = service.node_port_owner
    monkeypatch.setattr(service, "node_port_owner", lambda *given: next(owners, find(*given)))
    monkeypatch.setattr(objects, "apply", apply)
    monkeypatch.setattr(seen, "require_deployment", lambda _run: deployment(ready=3))
    monkeypatch.setattr(converge, "wait_for_addresses", lambda *_, **__: [])
    converge.converge(made, Desired(exposed=True), serve="never")
    return asked


def test_a_node_port_that_another_service_takes_at_the_same_moment_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = exposed(monkeypatch, "provided port is already allocated")
    assert [port is None for port in asked] == [False, True]
    assert "belongs to service theirs in namespace other" in capsys.readouterr().err


def test_what_the_cluster_finds_invalid_is_told_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"k8s/service\.yaml: .* may not be changed"):
        exposed(monkeypatch, "spec.clusterIP: may not be changed")
