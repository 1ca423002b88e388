"""The manifests: how they are read and checked, and what changes in them for one cluster."""

import copy
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from kubetasks.engine import image
from kubetasks.engine.image import Delivered
from kubetasks.errors import SettingError
from kubetasks.kube import manifests
from kubetasks.kube.client import Object, describe, reference
from kubetasks.pipeline import desired
from kubetasks.pipeline.desired import Desired, Place
from kubetasks.project.application import Application, Project
from kubetasks.project.labels import OWNER_LABEL, TOOL
from tasks import PROJECT

NAMED = "app.kubernetes.io/name"
LABELS = {NAMED: "web"}
CONTAINER = {"name": "web", "image": "w"}
TEMPLATE = {"spec": {"containers": [CONTAINER]}}
OTHER: Object = {**reference("Deployment", "other"), "spec": {"template": TEMPLATE}}
PULLED = Delivered("reg.example.com/simple-server:abc", pulled=True)


def manifest(kind: str) -> Object:
    (found,) = (one.item for one in manifests.of_application(PROJECT.application) if one.item["kind"].lower() == kind)
    return copy.deepcopy(found)


def applied(app: Application, exposed: bool = False) -> dict[str, Object]:
    """Return the objects to apply for an image that nodes pull, by kind, or by KIND/NAME if they have another name."""
    wanted = Desired([] if exposed else [image.Image(app.source, "abc", "")], exposed=exposed)
    there = Place({} if exposed else {app.name: PULLED}, None)
    parts = desired.parts(app, manifests.of_application(app), wanted, there)
    items = [desired.item_of(part, app) for part in parts]
    return {item["kind"] if item["metadata"]["name"] == app.name else describe(item): item for item in items}


def in_folder(folder: Path, **texts: object) -> Application:
    """Write these manifests, by name, into a folder, and return the application with that folder."""
    for name, item in texts.items():
        (folder / f"{name}.yaml").write_text(json.dumps(item))
    return dataclasses.replace(PROJECT.application, manifests=folder)


@pytest.mark.promise("`kubectl create deployment simple-server --image=simple-server:v1`")
def test_the_deployment_gets_image_namespace_and_label_and_keeps_the_rest_but_replicas(tmp_path: Path) -> None:
    plain = manifest("deployment")
    item = copy.deepcopy(plain)
    item["spec"]["replicas"] = 7
    made = applied(in_folder(tmp_path, deployment=item))["Deployment"]
    assert made["metadata"]["labels"][OWNER_LABEL] == TOOL.name
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("reg.example.com/simple-server:abc", "IfNotPresent")
    container |= {"image": "simple-server:v1", "imagePullPolicy": "Never"}
    assert made["spec"] == plain["spec"], "and would not undo what scale asked for"


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [(None, {}), ({"annotations": {"a": "b"}}, {}), ({"labels": None}, {}), ({"labels": {"app": "web"}}, {"app": "web"})],
)
def test_a_pod_template_keeps_its_labels_and_gets_ours_and_its_one_container_the_image_whatever_its_name(
    tmp_path: Path, metadata: dict[str, Any] | None, kept: dict[str, str]
) -> None:
    item = manifest("deployment")
    template = item["spec"]["template"]
    template["metadata"] = metadata
    template["spec"]["containers"][0]["name"] = "web"
    item["spec"]["selector"]["matchLabels"] = {"app": "web"}
    made = applied(in_folder(tmp_path, deployment=item))["Deployment"]["spec"]["template"]
    assert made["metadata"] == {**(metadata or {}), "labels": {**kept, NAMED: "simple-server"}}
    assert made["spec"]["containers"][0]["image"] == PULLED.reference


@pytest.mark.parametrize(("given", "there"), [("k8s", False), (None, True)])
def test_manifests_are_made_if_there_is_no_folder_or_none_is_wanted(tmp_path: Path, given: str | None, there: bool) -> None:
    if there:
        (tmp_path / "k8s").mkdir()
        (tmp_path / "k8s" / "ingress.yaml").touch()
    assert set(applied(Project.of("shop", tmp_path, manifests=given).application)) == {"Deployment"}


@pytest.mark.parametrize("given", ["", "deploy"])
def test_a_folder_of_manifests_that_is_not_there_is_told(tmp_path: Path, given: str) -> None:
    with pytest.raises(SettingError, match=f"There is no folder '{given}' of manifests in {tmp_path}"):
        Project.of("shop", tmp_path, manifests=given)


def test_a_kustomization_is_what_kubectl_makes_of_it(tmp_path: Path) -> None:
    app = in_folder(tmp_path, deployment=manifest("deployment"))
    (tmp_path / "app.env").write_text("COLOUR=blue\n")
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [deployment.yaml]\nconfigMapGenerator: [{name: colours, envs: [app.env]}]\n"
    )
    made = applied(app)
    (name,) = (name for name in made if name.startswith("configmap/colours-"))
    assert made[name]["data"] == {"COLOUR": "blue"}
    (tmp_path / "app.env").unlink()
    with pytest.raises(SettingError, match=r"cannot be rendered: [^$]*app\.env"):
        applied(app)


HELM = """\
#!/bin/sh
test "$1 $5 $6" = "template --include-crds --no-hooks" || exit 1
grep -q colour "$3/values.yaml" || { echo 'Error: no colour' >&2; exit 1; }
cat "$3"/crds/*
sed "s/{{ .Release.Name }}/$2/; s/{{ .Release.Namespace }}/${4#*=}/; s/{{ required .*}}/blue/" "$3/templates/app.yaml"
"""
CHART = {
    "Chart.yaml": "{apiVersion: v2, name: shop, version: 1.0.0}",
    "values.yaml": "colour: blue",
    "crds/toy.yaml": "{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: toys}}\n",
    "templates/app.yaml": """\
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {app.kubernetes.io/managed-by: Helm}
  annotations:
    in: {{ .Release.Namespace }}
    of: {{ required "no colour" .Values.colour }}
spec: {selector: {}, template: {spec: {containers: [{name: web, image: web}]}}}
""",
    "templates/hook.yaml": '{apiVersion: v1, kind: Pod, metadata: {name: hook, annotations: {"helm.sh/hook": post-install}}}',
}


def test_a_chart_is_what_helm_makes_of_it_without_its_hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "chart"
    for name, text in CHART.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    if not shutil.which("helm"):
        (tmp_path / "helm").write_text(HELM)
        (tmp_path / "helm").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    app = dataclasses.replace(PROJECT.application, manifests=folder)
    definition, own = manifests.of_application(app, "ours")
    made = own.item
    assert describe(definition.item).endswith("/toys")
    assert (describe(made), made["metadata"]["annotations"]) == (app.deployment, {"in": "ours", "of": "blue"})
    assert "kubectl label --local --overwrite -f - " in desired.command_of(desired.Part(own, [], {}), app, folder, ()), (
        "Helm's is there"
    )
    (folder / "values.yaml").write_text("{}")
    with pytest.raises(SettingError, match=r"chart cannot be rendered: [^$]*no colour") as told:
        manifests.of_application(app)
    assert told.value.hint.startswith(f"helm template {app.name} {folder} ")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SettingError, match="chart is a Helm chart, and helm is not on PATH"):
        manifests.of_application(app)


@pytest.mark.parametrize("name", ["ingress.yaml", "more.yml", "config.json"])
def test_an_object_of_any_kind_is_applied(tmp_path: Path, name: str) -> None:
    app = in_folder(tmp_path, deployment=manifest("deployment"))
    (tmp_path / name).write_text("{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: shop}}\n")
    assert applied(app)["ingress.networking.k8s.io/shop"]["metadata"]["labels"] == {OWNER_LABEL: TOOL.name}


@pytest.mark.parametrize("data", ["{a: 2020-01-01}", "{1: a, b: c}"])
def test_what_no_json_can_say_is_refused(tmp_path: Path, data: str) -> None:
    app = in_folder(tmp_path, deployment=manifest("deployment"))
    (tmp_path / "config.yaml").write_text(f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c}}, data: {data}}}\n")
    with pytest.raises(SettingError, match="configmap/c has a date or a key that is not a string: quote it"):
        applied(app)


def test_a_list_is_its_items(tmp_path: Path) -> None:
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    (tmp_path / "it.yaml").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [item]}))
    assert manifests.read(tmp_path / "it.yaml") == [item]


def test_what_is_empty_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    other = pods(spec={"containers": [CONTAINER], "initContainers": None}) | {"metadata": {"name": "other", "labels": None}}
    made = applied(in_folder(tmp_path, deployment=manifest("deployment"), other=other))["deployment/other"]
    assert made["metadata"]["labels"] == {OWNER_LABEL: TOOL.name}


def but(kind: str, path: str, *value: object) -> Object:
    """Return the manifest of that kind with another value at `path`, or without that path."""
    edits = [{"op": "add", "path": path, "value": one} for one in value] or [{"op": "remove", "path": path}]
    return manifests.edited(manifest(kind), edits)


def pods(**template: object) -> Object:
    return OTHER | {"spec": {"template": template}}


CONTAINERS = "/spec/template/spec/containers"
OTHER_PORT = CONTAINER | {"ports": [{"containerPort": 5000}]}
SERVICE: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "simple-server"}}
NEEDS = "each object needs apiVersion"
NO_PORT: list[Object] = [{}, {"spec": {}}, {"spec": {"ports": []}}, {"spec": {"ports": ["http"]}}]


@pytest.mark.parametrize(
    ("name", "item", "words"),
    [
        ("deployment", but("deployment", "/metadata/name", "another"), "has no deployment/simple-server"),
        ("copy", manifest("deployment"), "has deployment/simple-server twice"),
        ("deployment", but("deployment", "/spec/selector", {"matchLabels": LABELS}), f"selects {NAMED}=web, and the tasks find"),
        ("deployment", but("deployment", CONTAINERS, [OTHER_PORT]), "declares port 5000, and the application's is 8080"),
        ("service", but("service", "/metadata/name", "another"), "has no service/simple-server"),
        ("service", but("service", "/spec/type", "ExternalName"), r"is an ExternalName: it sends requests to no pod"),
        ("service", but("service", "/spec/selector", {"app": "web"}), "selects no pod .* its pods lack app=web"),
        ("service", but("service", "/spec/ports/0/targetPort", "htp"), "targetPort htp, and no container .* port of that name"),
        *(("service", SERVICE | one, "has no port") for one in NO_PORT),
        *(("other", one, "other.yaml.* each object needs apiVersion") for one in (["kind"], "text", OTHER | {"kind": 1})),
        *(("other", OTHER | {"metadata": one}, NEEDS) for one in ({"name": 123}, {"generateName": "a-"})),
        ("other", OTHER | {"apiVersion": None}, NEEDS),
        *(("deployment", but("deployment", CONTAINERS, one), "has no container") for one in (None, [{"image": "x"}])),
    ],
)
def test_manifests_that_do_not_fit_are_refused(tmp_path: Path, name: str, item: object, words: str) -> None:
    app = in_folder(tmp_path, **{"deployment": manifest("deployment"), name: item})
    with pytest.raises(SettingError, match=words):
        applied(app, exposed=name == "service")


@pytest.mark.parametrize(
    "item",
    [
        *(OTHER | {"metadata": {"name": "a", key: ["x"]}} for key in ("labels", "annotations")),
        pods(metadata="x", spec={"containers": [CONTAINER]}),
        pods(metadata={"labels": ["x"]}, spec={"containers": [CONTAINER]}),
        *(pods(spec={"containers": one}) for one in (None, [{"image": "x"}], ["x"])),
        *(OTHER | {"spec": OTHER["spec"] | {"volumeClaimTemplates": one}} for one in ("a", ["a"])),
        OTHER | {"spec": None},
        OTHER | {"spec": ["x"]},
    ],
    ids=str,
)
def test_what_an_object_of_another_kind_may_look_like_is_the_api_servers_to_say(tmp_path: Path, item: Object) -> None:
    assert len(applied(in_folder(tmp_path, deployment=manifest("deployment"), other=item))) == 2
