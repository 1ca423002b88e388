"""The manifests: plain as they lie there, and what becomes of them for one cluster."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from kubetasks.engine import image
from kubetasks.engine.image import Delivered
from kubetasks.errors import SettingError
from kubetasks.kube import manifests
from kubetasks.kube.client import VERSIONS, Object, describe
from kubetasks.pipeline import desired
from kubetasks.pipeline.desired import Desired, Place
from kubetasks.project.application import Application, Project
from kubetasks.project.labels import OWNER_LABEL, TOOL, Owner
from tasks import PROJECT

NAMED = "app.kubernetes.io/name"
LABELS = {NAMED: "web"}
CONTAINER = {"name": "web", "image": "w"}
PULLED = Delivered("reg.example.com/simple-server:abc", pulled=True)


def manifest(kind: str) -> Object:
    (found,) = (one.item for one in manifests.of_application(PROJECT.application) if one.item["kind"].lower() == kind)
    return copy.deepcopy(found)


def applied(app: Application, exposed: bool = False, node_port: int | None = None) -> dict[str, Object]:
    """What is applied for an image that nodes pull, by kind or, of another name, by KIND/NAME."""
    wanted = Desired(image=None if exposed else image.Image(app, "abc", ""), exposed=exposed)
    there = Place("somewhere", None if exposed else PULLED, node_port)
    parts = desired.parts(app, manifests.of_application(app), wanted, there)
    items = [desired.item_of(part, app, "somewhere") for part in parts]
    return {item["kind"] if item["metadata"]["name"] == app.name else describe(item): item for item in items}


def in_folder(folder: Path, **texts: object) -> Application:
    """The application with a folder of these manifests: names and what is in them."""
    for name, item in texts.items():
        (folder / f"{name}.yaml").write_text(json.dumps(item))
    return dataclasses.replace(PROJECT.application, manifests=folder)


def test_the_images_of_others_are_those_of_all_its_containers_that_a_node_may_keep(tmp_path: Path) -> None:
    item = manifest("deployment")
    pod = item["spec"]["template"]["spec"]
    pod["initContainers"] = [{"name": "wait", "image": "busybox:1"}]
    pod["containers"] += [{"name": "a", "image": "envoy:1"}, {"name": "b", "image": "envoy:2", "imagePullPolicy": "Always"}]
    app = in_folder(tmp_path, deployment=item)
    assert manifests.other_images(manifests.of_application(app), app) == ["busybox:1", "envoy:1"]


@pytest.mark.promise("`kubectl create deployment simple-server --image=simple-server:v1`")
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
        (tmp_path / "k8s" / "ingress.yaml").touch()
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


@pytest.mark.parametrize("name", ["ingress.yaml", "more.yml", "config.json"])
def test_a_kind_that_is_not_known_is_refused_by_name(tmp_path: Path, name: str) -> None:
    app = in_folder(tmp_path, deployment=manifest("deployment"))
    (tmp_path / name).write_text("{kind: Ingress, metadata: {name: shop}}\n")
    with pytest.raises(SettingError, match=f"{name} has ingress/shop, and Ingress is not among ConfigMap, Deployment") as told:
        applied(app)
    assert "apply it with kubectl" in told.value.hint


@pytest.mark.promise(
    "`kubectl create deployment simple-server --image=simple-server:v1`",
    "`kubectl expose deployment simple-server --type=LoadBalancer`",
)
def test_the_plain_files_are_the_tutorials() -> None:
    (container,) = manifest("deployment")["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("simple-server:v1", "Never")
    assert container["ports"][0]["containerPort"] == 8080
    assert manifest("service")["spec"]["type"] == "LoadBalancer"
    assert "namespace" not in manifest("service")["metadata"]


def workload(kind: str, name: str, *containers: dict[str, str], **pod: object) -> Object:
    spec = {"template": {"spec": {"containers": [*containers], **pod}}}
    return {"apiVersion": VERSIONS[kind], "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def several(tmp_path: Path) -> Application:
    """An application with a database, a job that migrates it, and a container beside its own, in two files."""
    texts = [
        workload("Job", "migrate", {"name": "migrate", "image": "simple-server"}),
        workload("Deployment", "simple-server", {"name": "proxy", "image": "p"}, {"name": "simple-server", "image": "s"}),
        workload("Deployment", "database", {"name": "database", "image": "postgres:18"}),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "database"}, "spec": {"ports": [{"port": 5432}]}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "password"}, "stringData": {"password": "secret"}},
    ]
    (tmp_path / "all.yaml").write_text("\n---\n".join(map(json.dumps, texts)))
    return in_folder(tmp_path, budget=manifest("poddisruptionbudget"))


def test_configuration_comes_first_then_what_it_needs_then_jobs_and_itself(several: Application) -> None:
    names = ["secret/password", "PodDisruptionBudget", "service/database", "deployment/database", "job/migrate", "Deployment"]
    assert list(applied(several)) == names
    worker = workload("Deployment", "a-worker", {"name": "worker", "image": "simple-server"})
    with_worker = in_folder(several.manifests or Path(), worker=worker)
    assert list(applied(with_worker)) == [*names[:-1], "deployment/a-worker", names[-1]], "it may need what the job does"


def test_each_container_of_the_application_gets_its_image_and_no_other(several: Application) -> None:
    made = applied(several)

    def images(name: str) -> list[str]:
        return [one["image"] for one in made[name]["spec"]["template"]["spec"]["containers"]]

    assert images("job/migrate") == [PULLED.reference]
    assert images("Deployment") == ["p", PULLED.reference]
    assert images("deployment/database") == ["postgres:18"]


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
    with pytest.raises(SettingError, match=r"cannot be built: [^$]*app\.env"):
        applied(app)


@pytest.mark.parametrize("data", ["{a: 2020-01-01}", "{1: a, b: c}"])
def test_what_no_json_can_say_is_refused(tmp_path: Path, data: str) -> None:
    app = in_folder(tmp_path, deployment=manifest("deployment"))
    (tmp_path / "config.yaml").write_text(f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: c}}, data: {data}}}\n")
    with pytest.raises(SettingError, match="configmap/c has a date, or a key that is no text: quote it"):
        applied(app)


def test_what_is_empty_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    other = workload("Deployment", "other", CONTAINER, initContainers=None)
    other["metadata"]["labels"] = None
    made = applied(in_folder(tmp_path, deployment=manifest("deployment"), other=other))["deployment/other"]
    assert made["metadata"]["labels"] == {OWNER_LABEL: TOOL.name}


def test_a_job_is_not_taken_away_before_it_is_seen_to_have_ended(tmp_path: Path) -> None:
    job = workload("Job", "migrate", CONTAINER)
    job["spec"]["ttlSecondsAfterFinished"] = 0
    made = applied(in_folder(tmp_path, deployment=manifest("deployment"), job=job))["job/migrate"]
    assert made["spec"].keys() == {"template"}


def but(kind: str, path: str, *value: object) -> Object:
    """The manifest of that kind with another value at that path, or without any."""
    edits = [{"op": "add", "path": path, "value": one} for one in value] or [{"op": "remove", "path": path}]
    return manifests.edited(manifest(kind), edits)


def pods(**template: object) -> Object:
    return workload("Deployment", "other") | {"spec": {"template": template}}


OTHER = workload("Deployment", "other", CONTAINER)
CONTAINERS = "/spec/template/spec/containers"
OTHER_PORT = CONTAINER | {"ports": [{"containerPort": 5000}]}
SERVICE: Object = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "simple-server"}}
NO_PORT: list[Object] = [{}, {"spec": {}}, {"spec": {"ports": []}}, {"spec": {"ports": ["http"]}}]


@pytest.mark.parametrize(
    ("name", "item", "words"),
    [
        ("deployment", but("deployment", "/metadata/name", "another"), "has no deployment/simple-server"),
        ("copy", manifest("deployment"), "has deployment/simple-server twice"),
        ("other", {**manifest("service"), "kind": "Deploymnet"}, r"(?s)Deploymnet is not among.*Did you mean Deployment\?"),
        ("deployment", but("deployment", "/spec/selector", {"matchLabels": LABELS}), f"selects {NAMED}=web, and the tasks find"),
        ("deployment", but("deployment", CONTAINERS, [OTHER_PORT]), "declares port 5000, and the application's is 8080"),
        ("service", but("service", "/metadata/name", "another"), "has no service/simple-server"),
        ("service", but("service", "/spec/type"), r"service/simple-server in .* is a ClusterIP: nobody outside reaches it"),
        *(("service", SERVICE | one, "has no port") for one in NO_PORT),
        *(("other", one, "other.yaml.* without kind and name") for one in (["kind"], "text", OTHER | {"kind": 1})),
        *(("other", OTHER | {"metadata": one}, "without kind and name") for one in ({"name": 123}, {"generateName": "a-"})),
        *(("other", OTHER | {"metadata": {"name": "a", key: ["x"]}}, "no mapping") for key in ("labels", "annotations")),
        ("other", pods(metadata="x", spec={"containers": [CONTAINER]}), "other.yaml.* no mapping"),
        ("other", pods(metadata={"labels": ["x"]}, spec={"containers": [CONTAINER]}), "no mapping"),
        ("other", OTHER | {"spec": None}, "other.yaml.* no pod template"),
        ("other", OTHER | {"spec": []}, "other.yaml.* no pod template"),
        *(("other", pods(spec={"containers": one}), "no pod template") for one in (None, [{"image": "x"}])),
        ("other", OTHER | {"apiVersion": None}, "other.yaml: the apiVersion of deployment/other must be apps/v1, not None"),
        ("other", OTHER | {"apiVersion": "extensions/v1beta1"}, "must be apps/v1, not extensions/v1beta1"),
    ],
)
def test_manifests_that_do_not_fit_are_refused(tmp_path: Path, name: str, item: object, words: str) -> None:
    app = in_folder(tmp_path, **{"deployment": manifest("deployment"), name: item})
    with pytest.raises(SettingError, match=words):
        applied(app, exposed=name == "service")


def test_another_secret_replaces_the_pods(several: Application) -> None:
    before = applied(several)["Deployment"]["spec"]["template"]
    assert several.manifests
    file = several.manifests / "all.yaml"
    file.write_text(file.read_text().replace('"secret"', '"another"'))
    assert applied(several)["Deployment"]["spec"]["template"] != before
