"""MetalLB: its address pool and its manifests, with a fake API. The tests of `expose` use a real one."""

import copy
from typing import Any

import pytest

from kubetasks.kube.client import VERSIONS
from kubetasks.project.labels import TOOL
from kubetasks.providers import metallb
from tests.unit.pipeline.living import LivingKube


def item(kind: str, name: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": metallb.NAMESPACE}
    return {"apiVersion": VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata, **more}


def pod(name: str) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/"}, "periodSeconds": 10}
    container = {"name": name, "image": "metallb", "args": ["--port=1"], "readinessProbe": probe}
    return {"template": {"metadata": {"labels": {}}, "spec": {"containers": [container]}}}


RELEASED = [
    item("Namespace", metallb.NAMESPACE),
    item("ValidatingWebhookConfiguration", "checks"),
    item("CustomResourceDefinition", "pools", spec={"group": "metallb.io", "conversion": {"strategy": "Webhook"}}),
    item("Deployment", "controller", spec=pod("controller")),
    item("DaemonSet", "speaker", spec=pod("speaker")),
]


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


def test_what_is_installed_carries_our_label_has_no_webhook_and_is_asked_for_its_readiness_at_once() -> None:
    _namespace, definition, controller, speaker = metallb.installation(copy.deepcopy(RELEASED), TOOL)
    assert (definition["spec"], definition["metadata"]["labels"]) == ({"group": "metallb.io"}, TOOL.labels)
    probe = {"httpGet": {"path": "/"}, "initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 60}
    for one, argument in ((controller, "--webhook-mode=disabled"), (speaker, "--ignore-exclude-lb")):
        own = {"name": one["metadata"]["name"], "args": ["--port=1", argument], "image": "metallb", "readinessProbe": probe}
        assert one["spec"]["template"]["spec"]["containers"] == [own]


def test_it_is_there_once_its_settings_are_those_of_the_network() -> None:
    kube = LivingKube()
    kube._put("CustomResourceDefinition", "", "l2advertisements.metallb.io", {"spec": {"group": "metallb.io", "versions": []}})
    metallb.configure(kube, "172.18.0.0/16")
    assert metallb.installed(kube, "172.18.0.0/16")
    assert not metallb.installed(kube, "172.19.0.0/16")
    for key in [one for one in kube.objects if one[0] in ("CustomResourceDefinition", "L2Advertisement", "IPAddressPool")]:
        item = kube.objects.pop(key)
        assert not metallb.installed(kube, "172.18.0.0/16"), f"without its {key[0]}"
        kube.objects[key] = item
