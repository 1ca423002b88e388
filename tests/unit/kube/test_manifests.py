"""The manifests: plain as they lie there, and what becomes of them for one cluster."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from kubetasks.errors import SettingError
from kubetasks.kube import manifests
from kubetasks.project.labels import OWNER_LABEL, TOOL
from tasks import PROJECT


def manifest(name: str) -> manifests.Object:
    return manifests.read_one(PROJECT.application, name)


def test_the_deployment_gets_image_namespace_and_label_and_keeps_the_rest() -> None:
    plain = manifest("deployment")
    made = manifests.deployment(plain, PROJECT.application, "reg.example.com/simple-server:abc", "IfNotPresent", "somewhere")
    assert made["metadata"]["namespace"] == "somewhere"
    assert made["metadata"]["labels"][OWNER_LABEL] == TOOL.name
    assert "replicas" not in made["spec"]
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("reg.example.com/simple-server:abc", "IfNotPresent")
    container |= {"image": "simple-server:v1", "imagePullPolicy": "Never"}
    assert made["spec"] == plain["spec"]


def test_replicas_in_the_file_would_not_undo_what_scale_asked_for() -> None:
    item = manifest("deployment")
    item["spec"]["replicas"] = 7
    assert "replicas" not in manifests.deployment(item, PROJECT.application, "simple-server:abc", "Never", "default")["spec"]
    assert item["spec"]["replicas"] == 7


def test_the_plain_files_are_the_tutorials() -> None:
    (container,) = manifest("deployment")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("simple-server:v1", "Never")
    assert container["ports"][0]["containerPort"] == 8080
    assert manifest("service")["spec"]["type"] == "LoadBalancer"
    assert "namespace" not in manifest("service")["metadata"]


def test_the_service_selects_the_pods_of_the_deployment() -> None:
    labels = manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("service")["spec"]["selector"].items() <= labels.items()


def test_a_service_without_the_applications_port_is_refused() -> None:
    app = dataclasses.replace(PROJECT.application, port="web")
    with pytest.raises(SettingError, match="has no port web"):
        manifests.service(manifest("service"), app, "default", None)


@pytest.mark.parametrize("port", [None, 30080])
def test_the_service_asks_for_a_node_port_only_where_one_is_mapped(port: int | None) -> None:
    made = manifests.service(manifest("service"), PROJECT.application, "default", port)
    assert made["spec"]["ports"][0].get("nodePort") == port


@pytest.mark.parametrize("change", [{"kind": "StatefulSet"}, {"metadata": {"name": "another"}}])
def test_what_the_tasks_would_not_find_again_is_refused_with_its_file(tmp_path: Path, change: dict[str, Any]) -> None:
    app = dataclasses.replace(PROJECT.application, manifests=tmp_path)
    (tmp_path / "deployment.yaml").write_text(json.dumps(manifest("deployment") | change))
    with pytest.raises(SettingError, match=r"deployment\.yaml must hold the deployment simple-server, not"):
        manifests.read_one(app, "deployment")


@pytest.mark.parametrize("text", ["metadata: simple-server\nkind: Deployment\n", "- kind: Deployment\n", "text\n"])
def test_what_has_no_kind_and_name_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "deployment.yaml").write_text(text)
    with pytest.raises(SettingError, match="without kind and name"):
        manifests.read(tmp_path / "deployment.yaml")


def test_labels_that_are_empty_get_ours() -> None:
    assert manifests.owned({"metadata": {"name": "x", "labels": None}}, TOOL)["metadata"]["labels"] == {OWNER_LABEL: TOOL.name}


def test_labels_that_are_a_list_are_refused_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "service.yaml"
    file.write_text("kind: Service\nmetadata: {name: simple-server, labels: [a, b]}\n")
    with pytest.raises(SettingError, match="the labels of Service simple-server are no mapping") as refused:
        manifests.read(file)
    assert str(file) in refused.value.sentence
