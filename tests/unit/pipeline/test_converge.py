"""What changing the cluster and waiting for its pods say, where a real cluster would need luck to show it."""

import dataclasses
from typing import Any

import pytest

from kubetasks.errors import ExposeError, SettingError
from kubetasks.kube import objects, service
from kubetasks.kube.client import ApiError
from kubetasks.kube.service import Address
from kubetasks.pipeline import converge, judge, probe, seen
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from tasks import PROJECT
from tests.unit.kube.answers import recorded
from tests.unit.pipeline import fakes


def deployment(ready: int) -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 3, "updatedReplicas": 3, "availableReplicas": ready}
    return {
        "kind": "Deployment",
        "metadata": {"name": "simple-server", "generation": 1},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "simple-server", "readinessProbe": {}}]}}},
        "status": status,
    }


@pytest.mark.parametrize(
    ("answer", "told"),
    [(None, "a request had no answer"), ({"pod": "gone"}, "a terminating pod still gets requests")],
)
def test_what_traffic_waits_for_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, str] | None, told: str
) -> None:
    made = fakes.run_on(fakes.FakeProvider(), fakes.FakeKube(EndpointSlice=recorded("endpointslices")))
    made.settings = dataclasses.replace(made.settings, timeout=0.05)
    address = Address("http://127.0.0.1:1/", "mapped port")
    monkeypatch.setattr(seen, "find_service", lambda _run: {"spec": {}, "status": {}})
    monkeypatch.setattr(seen, "addresses", lambda *_: [address])
    monkeypatch.setattr(seen, "deployment", lambda _run: deployment(ready=3))
    monkeypatch.setattr(probe, "first_answering", lambda *_: address)
    monkeypatch.setattr(probe, "ask", lambda *_: answer)
    with pytest.raises(ExposeError, match=told):
        converge.wait_until_served(made)


def stranger(monkeypatch: pytest.MonkeyPatch, silent: dict[str, str]) -> Run:
    """An application whose answers name no pod, of which those in `silent` do not answer the API server."""
    app = dataclasses.replace(PROJECT.application, pod_key="")
    kube = fakes.FakeKube(
        Service=[recorded("service")], EndpointSlice=recorded("endpointslices"), Deployment=[deployment(ready=3)]
    )
    kube.silent = silent
    made = fakes.run_on(fakes.FakeProvider(), kube, app=app)
    monkeypatch.setattr(probe, "ask", lambda *_, **__: {})
    return made


def test_each_pod_of_a_stranger_is_asked_through_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert converge.wait_until_served(stranger(monkeypatch, {})) == 3


def test_a_pod_that_is_ready_and_does_not_answer_is_named_with_port_and_path(monkeypatch: pytest.MonkeyPatch) -> None:
    pod = recorded("endpointslices")[0]["endpoints"][1]["targetRef"]["name"]
    monkeypatch.setattr(judge, "UNANSWERED_SECONDS", 0.0)
    with pytest.raises(ExposeError, match=f"Pod {pod} is ready, but GET /healthz at its port 8080 .*: it answers 404") as raised:
        converge.wait_until_served(stranger(monkeypatch, {pod: "it answers 404"}))
    assert "health path of the application" in raised.value.hint


def test_a_pod_that_no_probe_made_ready_has_the_whole_timeout_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    pod = recorded("endpointslices")[0]["endpoints"][1]["targetRef"]["name"]
    made = stranger(monkeypatch, {pod: "connection refused"})
    made.settings = dataclasses.replace(made.settings, timeout=0.05)
    (container,) = made.kube.list("Deployment")[0]["spec"]["template"]["spec"]["containers"]
    del container["readinessProbe"]
    monkeypatch.setattr(judge, "UNANSWERED_SECONDS", 0.0)
    with pytest.raises(ExposeError, match=r"Not every pod gets requests.*connection refused"):
        converge.wait_until_served(made)


def exposed(monkeypatch: pytest.MonkeyPatch, refusal: str, *, load_balancer: bool = True) -> list[object]:
    """Expose on a cluster with a mapped port that refuses every given node port; return the node ports that it was asked for."""
    theirs = {**recorded("service"), "metadata": {"name": "theirs", "namespace": "other"}}
    made = fakes.run_on(fakes.OwnProvider(changed=False), fakes.FakeKube(Service=[theirs], Deployment=[deployment(ready=3)]))
    made.cluster = dataclasses.replace(
        fakes.FACTS, load_balancer=load_balancer, mapped_port=(theirs["spec"]["ports"][0]["nodePort"], 8080)
    )
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


def test_without_a_load_balancer_a_port_that_another_service_has_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExposeError, match="belongs to service theirs in namespace other, and there is no load balancer"):
        exposed(monkeypatch, "provided port is already allocated", load_balancer=False)


def test_what_the_cluster_finds_invalid_is_told_with_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError, match=r"k8s/service\.yaml: .* may not be changed"):
        exposed(monkeypatch, "spec.clusterIP: may not be changed")


@pytest.mark.parametrize(
    ("answers", "step"), [(True, "Waiting for traffic"), (False, "Waiting for endpoints (no address answers")]
)
def test_who_cannot_reach_an_existing_cluster_is_not_told_of_traffic(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answers: bool, step: str
) -> None:
    made = stranger(monkeypatch, {})
    monkeypatch.setattr(probe, "ask", lambda *_, **__: {} if answers else None)
    assert converge.wait_until_served(made) == 3
    assert capsys.readouterr().err.startswith(step)
