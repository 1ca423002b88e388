"""Ownership: no object without our label is changed or removed. The API is a fake; the same is shown on a real one."""

from typing import Any

import pytest

from kubetasks.errors import OwnershipError
from kubetasks.kube import objects
from kubetasks.kube.client import Kube, path
from kubetasks.labels import OWNER, OWNER_LABEL


class FakeKube(Kube):
    """One deployment, and a note of every request that would change it."""

    def __init__(self, labels: dict[str, str]) -> None:
        self.item = {"kind": "Deployment", "metadata": {"name": "simple-server", "uid": "1", "labels": labels}}
        self.changed: list[str] = []

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:  # noqa: ARG002
        return self.item

    def request(self, method: str, *_args: Any, **_more: Any) -> dict[str, Any]:
        self.changed.append(method)
        return {"metadata": {"resourceVersion": "2"}}


@pytest.mark.parametrize("labels", [{}, {OWNER_LABEL: "Helm"}])
def test_an_object_of_others_is_neither_applied_nor_deleted(labels: dict[str, str]) -> None:
    kube = FakeKube(labels)
    with pytest.raises(OwnershipError, match="deployment/simple-server exists"):
        objects.apply(kube, kube.item)
    with pytest.raises(OwnershipError, match="kubectl label"):
        objects.delete(kube, "Deployment", "simple-server", "default", 1)
    assert kube.changed == []


def test_ours_may_be_touched() -> None:
    objects.require_ours(FakeKube({OWNER_LABEL: OWNER}).item)


def test_paths_are_those_of_the_api() -> None:
    assert path("Pod", "default", "x", "log") == "/api/v1/namespaces/default/pods/x/log"
    assert path("Deployment", "a", "b", "scale") == "/apis/apps/v1/namespaces/a/deployments/b/scale"
    assert path("Node", name="n") == "/api/v1/nodes/n"
    assert path("Service") == "/api/v1/services"
