"""Ownership: no object without the owner's label is changed or deleted. The API is a fake; other tests use a real one."""

from unittest.mock import Mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kubetasks.errors import ClusterError, LeftoverError, OwnershipError, RolloutError, TaskError
from kubetasks.kube import client, objects
from kubetasks.kube.client import ApiError, Object
from kubetasks.project.labels import OWNER_LABEL, TOOL
from kubetasks.terminal import wait
from tests.unit.failing import raising
from tests.unit.pipeline.living import LivingKube

NAME = "simple-server"
OURS = {OWNER_LABEL: TOOL.name}
CONFIGURATION = {**client.reference("ConfigMap", NAME), "metadata": {"name": NAME, "namespace": "default"}}


def holding(labels: dict[str, str], **metadata: object) -> LivingKube:
    """Return an API with one ConfigMap."""
    kube = LivingKube()
    kube._put("ConfigMap", "default", NAME, {"metadata": {"labels": labels, **metadata}})
    return kube


@settings(database=None, deadline=None)
@given(labels=st.dictionaries(st.text(), st.text()).filter(lambda labels: labels.get(OWNER_LABEL) != TOOL.name))
@example({})
@example({OWNER_LABEL: "Helm"})
def test_whatever_else_it_carries_an_object_without_our_label_is_neither_applied_nor_deleted(labels: dict[str, str]) -> None:
    kube = holding(labels)
    with pytest.raises(OwnershipError, match="configmap/simple-server -n default exists"):
        objects.apply(kube, CONFIGURATION)
    with pytest.raises(OwnershipError):
        objects.delete(kube, [kube.one("ConfigMap")], 1, print)
    assert kube.done == []


def test_what_is_not_deleted_in_time_is_named_with_its_finalizers() -> None:
    kube, told = holding(OURS, finalizers=["kept"]), list[str]()
    with pytest.raises(
        LeftoverError, match=r"Some objects were not deleted, .* for 0 s: configmap/simple-server: it waits for kept"
    ):
        objects.delete(kube, [kube.one("ConfigMap")], 0.05, told.append)
    assert told == ["configmap/simple-server: it waits for kept"]


def test_another_object_that_takes_the_name_of_a_deleted_one_is_not_waited_for() -> None:
    kube = holding(OURS)
    kube.meanwhile = [("DELETE", int), ("GET", lambda: kube._put("ConfigMap", "default", NAME, {}))]
    objects.delete(kube, [kube.one("ConfigMap")], 0.05, print)


def test_a_deployment_that_gets_another_template_keeps_its_replicas_and_nobody_is_made_their_owner() -> None:
    kube = LivingKube()
    template = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "a", "image": "a:1"}]}}
    spec = {"replicas": 3, "template": template}
    kube._put("Deployment", "default", NAME, {"apiVersion": "apps/v1", "metadata": {"labels": OURS}, "spec": spec})
    another = {**template, "spec": {"containers": [{"name": "a", "image": "a:2"}]}}
    objects.replace_template(kube, kube.one("Deployment"), another)
    assert kube.one("Deployment")["spec"] == {"replicas": 3, "template": another}
    assert ["replicas" in body["spec"] for *_, body, content in kube.asked if content == objects.APPLY_PATCH] == [False]


KUBE = LivingKube()
AWAY = ClusterError("The API server does not answer.", "./inv start")
UNAVAILABLE, BUSY = ApiError("GET /", 503, "", ""), ApiError("GET /", 429, "", "")
NO_RULES_YET = ApiError("GET /", 403, "Forbidden", "no rules yet")  # from an API server that has just started


@pytest.mark.parametrize(
    "answers", [[AWAY, UNAVAILABLE, BUSY], [AWAY, NO_RULES_YET], [wait.Pending("not yet"), NO_RULES_YET]], ids=str
)
def test_a_wait_survives_an_api_server_that_restarts_also_between_two_looks(answers: list[TaskError | wait.State]) -> None:
    check = Mock(side_effect=[*answers, wait.Done()])
    wait.until_done(KUBE.surviving(check), RolloutError, "late", timeout=60, sleep=lambda _: None)


def test_one_that_stays_away_ends_the_wait_with_what_it_said() -> None:
    clock = Mock(side_effect=range(1000))
    with pytest.raises(ClusterError) as raised:
        wait.until_done(KUBE.surviving(raising(AWAY)), RolloutError, "late", timeout=600, sleep=lambda _: None, clock=clock)
    assert raised.value is AWAY
    assert clock.call_count < 2 * client.PATIENCE


def test_what_the_api_refuses_ends_the_wait_at_once() -> None:
    with pytest.raises(ApiError, match="no rules yet"):
        wait.until_done(KUBE.surviving(raising(NO_RULES_YET)), RolloutError, "late", timeout=60, sleep=lambda _: None)


CONTAINERS = {"containers": [{"name": "a", "image": "a:1"}]}
NEWER = {"containers": [{"name": "a", "image": "a:2"}]}


@pytest.mark.parametrize(
    ("kind", "spec", "status", "wanted", "replaced"),
    [
        ("Job", {"template": CONTAINERS}, {}, {"template": CONTAINERS}, False),
        ("Job", {"template": CONTAINERS}, {}, {"template": NEWER}, True),  # a job's template is immutable
        ("Job", {"template": CONTAINERS}, {"conditions": [{"type": "Failed", "status": "True"}]}, {"template": CONTAINERS}, True),
        ("Pod", CONTAINERS, {"phase": "Succeeded"}, CONTAINERS, False),
        ("Pod", CONTAINERS, {"phase": "Succeeded"}, NEWER, True),  # its image can be changed, but it would not run again
        ("Pod", CONTAINERS, {"phase": "Failed"}, CONTAINERS, True),
        ("IPAddressPool", {"a": 1}, {"phase": "Failed", "conditions": [{"type": "Stalled", "status": "True"}]}, {"a": 2}, False),
    ],
)
def test_only_what_runs_to_an_end_is_replaced_if_it_has_failed_or_another_is_wanted(
    kind: str, spec: Object, status: Object, wanted: Object, replaced: bool
) -> None:
    kube, name = LivingKube(), client.reference(kind, NAME)
    before = kube._put(kind, "default", NAME, {"metadata": {"labels": OURS}, "spec": spec, "status": status})
    assert objects.rehearse(kube, {**name, "spec": wanted}, before) is replaced
    assert kube.done == [], "nothing is stored"


@pytest.mark.parametrize(
    ("status", "words", "there", "checked"),
    [
        (403, "error looking up service account default/reader", False, False),
        (404, 'roles.rbac.authorization.k8s.io "reader" not found', False, False),
        (403, 'User "x" cannot patch resource "pods"', False, True),
        (422, "spec: Invalid value", False, True),
        (422, "spec: Invalid value", True, True),
    ],
)
def test_what_needs_another_object_cannot_be_checked_before_that_is_there(
    status: int, words: str, there: bool, checked: bool
) -> None:
    kube = holding(OURS)
    kube.meanwhile = [("PATCH", raising(ApiError("PATCH", status, "", words)))]
    before = kube.one("ConfigMap") if there else None
    if checked:
        with pytest.raises(ApiError, match=words):
            objects.rehearse(kube, CONFIGURATION, before)
    else:
        assert not objects.rehearse(kube, CONFIGURATION, before)
