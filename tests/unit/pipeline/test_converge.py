"""What changing the cluster and waiting for its pods say, where a real cluster would need luck to show it."""

import dataclasses
from typing import Any

import pytest

from kubetasks.errors import ExposeError, SettingError
from kubetasks.kube.client import ApiError
from kubetasks.pipeline import converge, judge, probe
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from tasks import PROJECT
from tests.unit.kube.answers import recorded
from tests.unit.kube.fakes import FakeKube, LiveKube
from tests.unit.pipeline import fakes

SECOND = recorded("endpointslices")[0]["endpoints"][1]["targetRef"]["name"]  # of three pods


def served(
    monkeypatch: pytest.MonkeyPatch,
    answer: dict[str, str] | None,
    why: str = "",
    *,
    pod_key: str = "",
    probed: bool = True,
    timeout: float = 120,
) -> Run:
    """Three ready pods; a request to an address gets `answer`, and `why` says what is wrong with the second one's."""
    container = {"name": "simple-server", **({"readinessProbe": {}} if probed else {})}
    spec = {"replicas": 3, "template": {"spec": {"containers": [container]}}}
    deployment = {**recorded("ready")["deployment"], "spec": spec}
    kube = FakeKube(Service=[recorded("service")], EndpointSlice=recorded("endpointslices"), Deployment=[deployment])
    kube.silent = {SECOND: why}
    made = fakes.run_on(fakes.FakeProvider(), kube, app=dataclasses.replace(PROJECT.application, pod_key=pod_key))
    made.settings = dataclasses.replace(made.settings, timeout=timeout)
    monkeypatch.setattr(probe, "ask", lambda *_, early=False, **__: {pod_key: SECOND} if early else answer)
    monkeypatch.setattr(judge, "UNANSWERED_SECONDS", 0.0)
    return made


@pytest.mark.parametrize(
    ("answer", "told"),
    [(None, "a request had no answer"), ({"pod": "gone"}, "a terminating pod still gets requests")],
)
def test_what_traffic_waits_for_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, str] | None, told: str
) -> None:
    with pytest.raises(ExposeError, match=told):
        converge.wait_until_served(served(monkeypatch, answer, pod_key="pod", timeout=0.05))


def test_each_pod_of_a_stranger_is_asked_through_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert converge.wait_until_served(served(monkeypatch, {})) == 3


def test_a_pod_that_is_ready_and_does_not_answer_is_named_with_port_and_path(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = f"Pod {SECOND} is ready, but GET /healthz at its port 8080 .*: it answers 404"
    with pytest.raises(ExposeError, match=sentence) as raised:
        converge.wait_until_served(served(monkeypatch, {}, "it answers 404"))
    assert "health path of the application" in raised.value.hint


def test_a_pod_that_no_probe_made_ready_has_the_whole_timeout_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ExposeError, match=r"Not every pod gets requests.*connection refused"):
        converge.wait_until_served(served(monkeypatch, {}, "connection refused", probed=False, timeout=0.05))


class Refusing(LiveKube):
    """Refuses a service that asks for a node port; nobody has it when it is looked up first, and then a service of others."""

    def __init__(self, words: str) -> None:
        super().__init__(Deployment=[recorded("ready")["deployment"]])
        self._words = words
        self._services = iter([list[dict[str, Any]]()])
        self.asked: list[int | None] = []

    def list(self, kind: str, namespace: str = "", **selectors: str) -> list[dict[str, Any]]:
        theirs = {**recorded("service"), "metadata": {"name": "theirs", "namespace": "other"}}
        return next(self._services, [theirs]) if kind == "Service" else super().list(kind, namespace, **selectors)

    def request(self, method: str, target: str, _query: object = None, body: Any = None, _type: str = "") -> Any:
        self.asked.append(body["spec"]["ports"][0].get("nodePort"))
        if self.asked[-1]:
            raise ApiError("PATCH", 422, "Invalid", self._words)
        return super().request(method, target, _query, body, _type)


def exposed(monkeypatch: pytest.MonkeyPatch, refusal: str, *, load_balancer: bool = True) -> list[int | None]:
    """Expose on a cluster with a mapped port that refuses every given node port; return the node ports that it was asked for."""
    kube = Refusing(refusal)
    kube.serve(monkeypatch)
    made = fakes.run_on(fakes.OwnProvider(changed=False), kube)
    made.cluster = dataclasses.replace(fakes.FACTS, load_balancer=load_balancer, mapped_port=(30080, 8080))
    converge.converge(made, Desired(exposed=True), serve="never")
    return kube.asked


def test_a_node_port_that_another_service_takes_at_the_same_moment_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = exposed(monkeypatch, "provided port is already allocated")
    assert asked == [30080, None]
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
    made = served(monkeypatch, {})
    monkeypatch.setattr(probe, "ask", lambda *_, **__: {} if answers else None)
    assert converge.wait_until_served(made) == 3
    assert capsys.readouterr().err.startswith(step)
