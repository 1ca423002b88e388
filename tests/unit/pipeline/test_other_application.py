"""What the actions read of the cluster, for an application of another name beside this one."""

import json
from typing import Any

import pytest

from kubetasks.pipeline import seen, status
from kubetasks.pipeline.run import Run
from kubetasks.terminal.wait import Done
from tasks import PROJECT
from tests.unit.kube.answers import recorded
from tests.unit.kube.fakes import FakeKube
from tests.unit.pipeline.fakes import FakeProvider, run_on
from tests.unit.terminal.test_equivalents import OTHER


class SelectingKube(FakeKube):
    """Lists only what a label selector of one pair selects, as the API does."""

    def list(self, kind: str, namespace: str = "", **selectors: str) -> list[dict[str, Any]]:
        key, _, value = selectors.get("labelSelector", "").partition("=")
        return [one for one in super().list(kind, namespace) if not key or one["metadata"]["labels"].get(key) == value]


@pytest.fixture
def shop() -> Run:
    """Three ready pods of the shop, with its service, beside broken ones of this application."""
    theirs, ours, exposed = recorded("ready", "shop"), recorded("crashing"), recorded("service", "shop")
    exposed["spec"]["ports"] = [{**exposed["spec"]["ports"][0], "name": "web", "port": 80}]
    kube = SelectingKube(
        Deployment=[ours["deployment"], theirs["deployment"]],
        ReplicaSet=[*ours["replica_sets"], *theirs["replica_sets"]],
        Pod=[*ours["pods"], *theirs["pods"]],
        Service=[recorded("service"), exposed],
    )
    return run_on(FakeProvider(), kube, app=OTHER)


def test_its_rollout_is_that_of_its_own_pods(shop: Run) -> None:
    found = seen.rollout(shop)
    assert seen.rollout_state(shop, found) == Done("3 of 3 pods ready")
    assert found.deployment
    assert found.deployment["metadata"]["name"] == "shop"
    assert {pod["metadata"]["name"].rsplit("-", 2)[0] for pod in found.pods} == {"shop"}


def test_its_addresses_are_those_of_its_own_service(shop: Run) -> None:
    found = seen.find_service(shop)
    assert found
    assert [one.url for one in seen.addresses(shop, found)] == ["http://172.18.255.223:80/"]


def test_its_status_names_nothing_of_another_application(shop: Run) -> None:
    document = status.status(shop)
    assert document
    shown = {"image": "shop:2e1c317d3020", "replicas": 3, "ready": 3, "earlier": 0, "state": "3 of 3 pods ready"}
    assert document["deployment"] == shown
    assert [(pod["ready"], pod["restarts"]) for pod in document["pods"]] == [(True, 0)] * 3
    assert document["addresses"] == [{"url": "http://172.18.255.223:80/", "way": "load balancer"}]
    assert PROJECT.application.name not in json.dumps(document)
