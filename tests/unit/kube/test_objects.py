"""Ownership: no object without our label is changed or removed. The API is a fake; the same is shown on a real one."""

import copy
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubetasks.errors import ClusterError, LeftoverError, OwnershipError, RolloutError, TaskError
from kubetasks.kube import client, objects
from kubetasks.kube.client import ApiError, Kube, path
from kubetasks.project.labels import OWNER_LABEL, TOOL
from kubetasks.terminal import wait
from tests.unit.failing import raising
from tests.unit.kube.fakes import LiveKube


def holding(labels: dict[str, str], **metadata: object) -> LiveKube:
    """An API with one deployment."""
    return LiveKube(Deployment=[{"metadata": {"name": NAME, "uid": "1", "labels": labels, **metadata}}])


NAME = "simple-server"
ITEM = {"kind": "Deployment", "metadata": {"name": NAME}}
OURS = {OWNER_LABEL: TOOL.name}


@settings(database=None, deadline=None)
@given(labels=st.dictionaries(st.text(), st.text()).filter(lambda labels: labels.get(OWNER_LABEL) != TOOL.name))
@example({})
@example({OWNER_LABEL: "Helm"})
def test_whatever_else_it_carries_an_object_without_our_label_is_neither_applied_nor_deleted(labels: dict[str, str]) -> None:
    kube = holding(labels)
    with pytest.raises(OwnershipError, match="deployment/simple-server exists") as refused:
        objects.apply(kube, ITEM)
    assert "kubectl --context theirs label" in refused.value.hint
    with pytest.raises(OwnershipError):
        objects.delete(kube, "Deployment", NAME, "default", 1, print)
    assert kube.done == []


def test_what_is_not_deleted_in_time_is_named_with_its_finalizers() -> None:
    kube, told = holding(OURS, finalizers=["kept"]), list[str]()
    with pytest.raises(
        LeftoverError, match="deployment/simple-server was not deleted, with nothing new for 0 s: it waits for kept"
    ):
        objects.delete(kube, "Deployment", NAME, "default", 0.05, told.append)
    assert told == ["deployment/simple-server: it waits for kept"]


def test_another_object_that_takes_the_name_of_a_deleted_one_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    kube = holding(OURS)
    looks = iter([kube.get("Deployment", NAME)])
    monkeypatch.setattr(kube, "get", lambda *_: next(looks, {"metadata": {"name": NAME, "uid": "2"}}))
    assert objects.delete(kube, "Deployment", NAME, "default", 0.05, lambda _detail: None)


KUBE = LiveKube()
AWAY = ClusterError("The API server does not answer.", "./inv start")


UNAVAILABLE, BUSY = ApiError("GET /", 503, "", ""), ApiError("GET /", 429, "", "")
NO_RULES_YET = ApiError("GET /", 403, "Forbidden", "no rules yet")  # of one that has just started


@pytest.mark.parametrize(
    "answers", [[AWAY, AWAY], [UNAVAILABLE, UNAVAILABLE], [BUSY, BUSY], [AWAY, NO_RULES_YET], [None, NO_RULES_YET]], ids=str
)
def test_a_wait_survives_an_api_server_that_restarts_also_between_two_looks(answers: list[TaskError | None]) -> None:
    coming = iter(answers)

    def check() -> wait.State:
        for error in coming:
            if error is None:
                return wait.Pending("not yet")
            raise error
        return wait.Done()

    wait.until_done(KUBE.surviving(check), RolloutError, "late", timeout=60, sleep=lambda _: None)


def test_one_that_stays_away_ends_the_wait_with_what_it_said() -> None:
    seconds = iter(range(1000))
    ticking: dict[str, Any] = {"sleep": lambda _: None, "clock": lambda: float(next(seconds))}
    with pytest.raises(ClusterError) as raised:
        wait.until_done(KUBE.surviving(raising(AWAY)), RolloutError, "late", timeout=600, **ticking)
    assert raised.value is AWAY
    assert next(seconds) < 2 * client.PATIENCE


def test_what_the_api_refuses_ends_the_wait_at_once() -> None:
    with pytest.raises(ApiError, match="no rules yet"):
        wait.until_done(KUBE.surviving(raising(NO_RULES_YET)), RolloutError, "late", timeout=60, sleep=lambda _: None)


def test_paths_are_those_of_the_api() -> None:
    assert path("Pod", "default", "x", "log") == "/api/v1/namespaces/default/pods/x/log"
    assert path("Deployment", "a", "b", "scale") == "/apis/apps/v1/namespaces/a/deployments/b/scale"
    assert path("Node", name="n") == "/api/v1/nodes/n"
    assert path("Service") == "/api/v1/services"


def test_what_a_controller_writes_beside_us_stays_when_an_update_is_forgotten() -> None:
    """The server refuses a list that is older than what it has."""
    entry = {"manager": TOOL.name, "operation": "Update"}
    theirs = {"manager": "autoscaler", "operation": "Update"}
    stored: dict[str, Any] = {"metadata": {"resourceVersion": "1", "managedFields": [entry]}}

    class Racing(Kube):
        owner = TOOL

        def __init__(self) -> None:
            self.patches = 0

        def request(self, method: str, _target: str, _query: object = None, body: Any = None, _kind: str = "") -> Any:
            if method == "GET":
                found = copy.deepcopy(stored)
                if not self.patches:  # somebody is faster than our first patch
                    stored["metadata"] = {"resourceVersion": "2", "managedFields": [entry, theirs]}
                return found
            self.patches += 1
            if body["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"]:
                raise ApiError("PATCH", 409, "Conflict", "the object has been modified")
            stored["metadata"] = body["metadata"]
            return stored

    objects._forget_update(Racing(), "/target")
    assert stored["metadata"]["managedFields"] == [theirs]
