"""MetalLB: its address pool, and the key of its speakers. The API is a fake; expose shows the rest on a real one."""

import json
from pathlib import Path
from typing import Any

import pytest

from kubetasks.kube.client import Kube
from kubetasks.project.labels import TOOL
from kubetasks.providers import metallb


class FakeKube(Kube):
    """Keeps what is applied, under its path."""

    owner = TOOL

    def __init__(self, there: dict[str, Any]) -> None:
        self.there = there

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:  # noqa: ARG002
        return self.there.get(name)

    def request(self, *given: Any, **_more: Any) -> dict[str, Any]:
        item = given[3]
        self.there[item["metadata"]["name"]] = item
        return {"metadata": {"resourceVersion": "1"}}


class NewKube(FakeKube):
    """An API server that has just been told of some kinds: each in a version that it serves, and in an older one."""

    def __init__(self, *names: str) -> None:
        super().__init__({})
        self.asked: list[str] = []
        self._names = names

    def get(self, kind: str, name: str, namespace: str = "") -> None:
        pass

    def list(self, kind: str, namespace: str = "", **selectors: str) -> list[dict[str, Any]]:  # noqa: ARG002
        groups = [name.partition(".") for name in self._names]
        versions = [{"name": "v1alpha1", "served": False}, {"name": "v1beta1", "served": True}]
        return [{"spec": {"group": group, "names": {"plural": plural}, "versions": versions}} for plural, _, group in groups]

    def request(self, *given: Any, **more: Any) -> dict[str, Any]:
        if given[0] != "GET":
            return super().request(*given, **more)
        self.asked.append(given[1])
        return {"items": []}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    file = tmp_path / "metallb.yaml"
    pod = {"spec": {"containers": [{"name": "speaker", "args": [], "readinessProbe": {}}]}}
    speaker = {"metadata": {"name": "speaker", "namespace": metallb.NAMESPACE}, "spec": {"template": pod}}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": metallb.NAMESPACE}}
    file.write_text("\n---\n".join(map(json.dumps, (namespace, {"apiVersion": "apps/v1", "kind": "DaemonSet", **speaker}))))
    return file


@pytest.mark.parametrize(
    ("subnet", "addresses"),
    [
        ("172.18.0.0/16", "172.18.255.223-172.18.255.254"),
        ("192.168.32.0/20", "192.168.47.223-192.168.47.254"),
        ("10.1.2.0/28", "10.1.2.11-10.1.2.14"),
    ],
)
def test_the_pool_is_the_end_of_the_network_without_its_broadcast_address(subnet: str, addresses: str) -> None:
    assert metallb.pool(subnet) == addresses


def test_the_speakers_find_their_key_and_each_cluster_has_another(manifest: Path) -> None:
    keys = set()
    for _ in range(2):
        kube = FakeKube({})
        metallb.install(kube, manifest)
        keys.add(kube.there["memberlist"]["stringData"]["secretkey"])
    assert len(keys) == 2
    assert list(kube.there).index("memberlist") < list(kube.there).index("speaker"), "before they start"


def test_an_installation_that_goes_on_keeps_the_key_of_the_speakers_that_run(manifest: Path) -> None:
    theirs = {"metadata": {"name": "memberlist", "labels": {}}, "data": {"secretkey": "a2V5"}}
    kube = FakeKube({"memberlist": theirs})
    metallb.install(kube, manifest)
    assert kube.there["memberlist"] is theirs


def test_each_of_its_kinds_is_asked_for_before_its_pods_watch_them_and_none_of_others() -> None:
    kube = NewKube("ipaddresspools.metallb.io", "certificates.cert-manager.io", "bgppeers.metallb.io")
    metallb.configure(kube, "172.18.0.0/16")
    assert kube.asked == ["/apis/metallb.io/v1beta1/ipaddresspools", "/apis/metallb.io/v1beta1/bgppeers"]
    assert metallb.POOL in kube.there


def test_what_is_installed_carries_our_label_has_no_webhook_and_is_asked_for_its_readiness_at_once() -> None:
    def item(kind: str, **more: Any) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}, **more}

    def pod(name: str) -> dict[str, Any]:
        probe = {"httpGet": {"path": "/"}, "periodSeconds": 10}
        return {"template": {"spec": {"containers": [{"name": name, "args": ["--port=1"], "readinessProbe": probe}]}}}

    released = [
        item("ValidatingWebhookConfiguration"),
        item("CustomResourceDefinition", spec={"group": "metallb.io", "conversion": {"strategy": "Webhook"}}),
        item("Deployment", spec=pod("controller")),
        item("DaemonSet", spec=pod("speaker")),
    ]
    definition, controller, speaker = metallb.installation(released, TOOL)
    assert (definition["spec"], definition["metadata"]["labels"]) == ({"group": "metallb.io"}, TOOL.labels)
    assert [one["spec"]["template"]["spec"]["containers"][0] for one in (controller, speaker)] == [
        {
            "name": name,
            "args": ["--port=1", argument],
            "readinessProbe": {"httpGet": {"path": "/"}, "initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 60},
        }
        for name, argument in (("controller", "--webhook-mode=disabled"), ("speaker", "--ignore-exclude-lb"))
    ]


@pytest.mark.parametrize(
    ("missing", "addresses", "there"),
    [
        ("", "172.18.255.223-172.18.255.254", True),
        ("", "172.19.255.223-172.19.255.254", False),
        ("l2advertisements.metallb.io", "172.18.255.223-172.18.255.254", False),
        (metallb.POOL, "172.18.255.223-172.18.255.254", False),
    ],
)
def test_it_is_there_once_its_settings_are_those_of_the_network(missing: str, addresses: str, there: bool) -> None:
    found = {
        name: {"spec": {"addresses": [addresses]}} for name in ("l2advertisements.metallb.io", metallb.POOL) if name != missing
    }
    assert metallb.installed(FakeKube(found), "172.18.0.0/16") == there
