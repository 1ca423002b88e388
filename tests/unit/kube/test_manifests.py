"""The manifests: plain as they lie there, and what becomes of them for one cluster."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from kubetasks.engine import image
from kubetasks.engine.image import Delivered
from kubetasks.errors import SettingError
from kubetasks.kube import manifests
from kubetasks.pipeline import desired
from kubetasks.pipeline.desired import Desired, Place
from kubetasks.project.application import Application, Project
from kubetasks.project.labels import OWNER_LABEL, TOOL, Owner
from tasks import PROJECT

PULLED = Delivered("reg.example.com/simple-server:abc", pulled=True)


def manifest(name: str) -> manifests.Object:
    found = manifests.read_one(PROJECT.application, name)
    assert found
    return found


def applied(app: Application, exposed: bool = False, node_port: int | None = None) -> dict[str, manifests.Object]:
    """What is applied for an image that nodes pull, by kind."""
    wanted = Desired(image=None if exposed else image.Image(app, "abc", ""), exposed=exposed)
    items = desired.objects(app, wanted, Place("somewhere", None if exposed else PULLED, node_port))
    return {item["kind"]: item for item in items}


def in_folder(folder: Path, **texts: object) -> Application:
    """The application with a folder of these manifests: names and what is in them."""
    for name, item in texts.items():
        (folder / f"{name}.yaml").write_text(json.dumps(item))
    return dataclasses.replace(PROJECT.application, manifests=folder)


def test_the_deployment_gets_image_namespace_and_label_and_keeps_the_rest() -> None:
    plain = manifest("deployment")
    made = applied(PROJECT.application)["Deployment"]
    assert made["metadata"]["namespace"] == "somewhere"
    assert made["metadata"]["labels"][OWNER_LABEL] == TOOL.name
    assert "replicas" not in made["spec"]
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("reg.example.com/simple-server:abc", "IfNotPresent")
    container |= {"image": "simple-server:v1", "imagePullPolicy": "Never"}
    assert made["spec"] == plain["spec"]


def test_replicas_in_the_file_would_not_undo_what_scale_asked_for(tmp_path: Path) -> None:
    item = manifest("deployment")
    item["spec"]["replicas"] = 7
    assert "replicas" not in applied(in_folder(tmp_path, deployment=item))["Deployment"]["spec"]


def test_a_deployment_with_labels_and_a_container_of_its_own_is_found_again(tmp_path: Path) -> None:
    item = manifest("deployment")
    template = item["spec"]["template"]
    item["spec"]["selector"]["matchLabels"] = template["metadata"]["labels"] = {"app": "web"}
    template["spec"]["containers"][0]["name"] = "web"
    made = applied(in_folder(tmp_path, deployment=item))
    assert list(made) == ["Deployment"], "without a disruption budget"
    template = made["Deployment"]["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "web", "app.kubernetes.io/name": "simple-server"}
    assert template["spec"]["containers"][0]["image"] == PULLED.reference


@pytest.mark.parametrize("metadata", [None, {"annotations": {"a": "b"}}, {"labels": None}])
def test_a_pod_template_without_labels_gets_ours(tmp_path: Path, metadata: dict[str, Any] | None) -> None:
    item = manifest("deployment")
    item["spec"]["template"]["metadata"] = metadata
    made = applied(in_folder(tmp_path, deployment=item))["Deployment"]["spec"]["template"]["metadata"]
    assert made == {**(metadata or {}), "labels": {"app.kubernetes.io/name": "simple-server"}}


@pytest.mark.parametrize(("given", "there"), [("k8s", False), (None, True)])
def test_manifests_are_made_if_there_is_no_folder_or_none_is_wanted(tmp_path: Path, given: str | None, there: bool) -> None:
    if there:
        (tmp_path / "k8s").mkdir()
        (tmp_path / "k8s" / "kustomization.yaml").touch()
    assert set(applied(Project.of("shop", tmp_path, manifests=given).application)) == {"Deployment"}


@pytest.mark.parametrize("given", ["", "deploy"])
def test_a_folder_of_manifests_that_is_not_there_is_told(tmp_path: Path, given: str) -> None:
    with pytest.raises(SettingError, match=f"There is no folder '{given}' of manifests in {tmp_path}"):
        Project.of("shop", tmp_path, manifests=given)


def test_an_application_without_manifests_gets_them_from_name_port_and_health_path() -> None:
    app = Application("shop", Owner("shop-tasks"), Path("/nowhere"), None, 5000, "/alive")
    (container,) = applied(app)["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert container["ports"] == [{"name": "http", "containerPort": 5000}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/alive", "port": "http"}
    service = applied(app, exposed=True, node_port=30080)["Service"]
    assert service["spec"]["ports"] == [{"name": "http", "port": 5000, "targetPort": "http", "nodePort": 30080}]
    assert service["metadata"]["labels"] == {"app.kubernetes.io/name": "shop", OWNER_LABEL: "shop-tasks"}


@pytest.mark.parametrize("name", ["ingress.yaml", "deployment.yml", "config.json"])
def test_a_manifest_that_nothing_would_apply_is_refused(tmp_path: Path, name: str) -> None:
    app = in_folder(tmp_path, deployment=manifest("deployment"))
    (tmp_path / name).write_text("kind: Ingress\nmetadata: {name: shop}\n")
    with pytest.raises(SettingError, match=f"{name} would not be applied"):
        applied(app)


def test_the_plain_files_are_the_tutorials() -> None:
    (container,) = manifest("deployment")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("simple-server:v1", "Never")
    assert container["ports"][0]["containerPort"] == 8080
    assert manifest("service")["spec"]["type"] == "LoadBalancer"
    assert "namespace" not in manifest("service")["metadata"]


def test_the_service_selects_the_pods_of_the_deployment() -> None:
    labels = manifest("deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("service")["spec"]["selector"].items() <= labels.items()


@pytest.mark.parametrize("spec", [None, {}, {"ports": []}, {"ports": ["http"]}])
def test_a_service_without_a_port_is_refused(tmp_path: Path, spec: object) -> None:
    with pytest.raises(SettingError, match="has no port"):
        applied(in_folder(tmp_path, service=manifest("service") | {"spec": spec}), exposed=True)


@pytest.mark.parametrize("port", [None, 30080])
def test_the_service_asks_for_a_node_port_only_where_one_is_mapped(port: int | None) -> None:
    made = applied(PROJECT.application, exposed=True, node_port=port)["Service"]
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
