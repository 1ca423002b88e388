"""The equivalent commands and the pure parts of the actions, for an application of another name, port and folder."""

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kubetasks.engine import image
from kubetasks.kube import manifests, service
from kubetasks.pipeline import probe
from kubetasks.project.application import Application
from kubetasks.project.labels import TOOL, Owner
from kubetasks.terminal import equivalents
from tasks import PROJECT

OTHER = Application(
    name="shop",
    owner=Owner("shop-tasks"),
    source=Path("/source"),
    manifests=Path("/source/deploy"),
    port="web",
    health="/alive",
    pod_key="host",
    node_key="machine",
)
KUBECTL = ("--context", "theirs", "--namespace", "ns")


def lines(app: Application) -> list[str]:
    return [
        equivalents.build(image.Image(app, "0123456789ab", "base").names, {"BASE": "base"}),
        *equivalents.deploy(app, KUBECTL, f"{app.name}:0123456789ab", 0, "Never"),
        equivalents.expose(app, KUBECTL, 1, 30080),
        *equivalents.scale(app, KUBECTL, 3),
        equivalents.logs(app, KUBECTL, 10),
        equivalents.service(app, KUBECTL),
        equivalents.unexpose(app, KUBECTL),
        *equivalents.undeploy(app, KUBECTL, ["Deployment", "PodDisruptionBudget"]),
    ]


def test_every_line_names_the_application_and_no_other() -> None:
    for line in lines(OTHER):
        assert "shop" in line or "-f deploy/" in line
        assert PROJECT.application.name not in line.replace(TOOL.name, "")


def test_every_kubectl_line_uses_the_context_and_the_namespace() -> None:
    for line in lines(OTHER)[1:]:
        assert "kubectl --context theirs --namespace ns" in line


def test_the_lines_of_the_tutorial() -> None:
    plain = lines(PROJECT.application)[0]
    assert plain.startswith("docker build --tag simple-server:0123456789ab --tag simple-server:v1 --build-arg BASE=base")
    assert equivalents.scale(PROJECT.application, (), 3)[0] == "kubectl scale deployments/simple-server --replicas=3"
    assert equivalents.unexpose(PROJECT.application, ()) == "kubectl delete service simple-server"


def test_manifests_come_from_its_folder_and_carry_our_label() -> None:
    (_, deployment, _) = equivalents.deploy(OTHER, (), "shop:1", 0, "Never")
    assert deployment.startswith(f"kubectl label --local -f deploy/deployment.yaml {OTHER.owner.selector}")
    assert "kubectl set image --local -f - shop=shop:1" in deployment


def test_a_pulled_image_gets_a_pull_policy_that_pulls() -> None:
    (_, deployment, _) = equivalents.deploy(OTHER, (), "r.example.com/shop:1", 1, "IfNotPresent")
    assert "kubectl set image --local -f - shop=r.example.com/shop:1 -o yaml" in deployment
    assert "/spec/template/spec/containers/1/imagePullPolicy" in deployment
    assert equivalents.push("shop:1", "r.example.com/shop:1") == (
        "docker tag shop:1 r.example.com/shop:1",
        "docker push r.example.com/shop:1",
    )


def test_its_container_its_port_and_its_image_are_found_by_name() -> None:
    containers = [{"name": "sidecar", "image": "a"}, {"name": "shop", "image": "b"}]
    deployment = {"metadata": {"name": "shop"}, "spec": {"template": {"spec": {"containers": containers}}}}
    made = manifests.deployment(deployment, OTHER, "shop:1", "Never", "ns")
    assert [one["image"] for one in made["spec"]["template"]["spec"]["containers"]] == ["a", "shop:1"]

    ports = [{"name": "metrics", "port": 1}, {"name": "web", "port": 80, "nodePort": 30080}]
    item = {"metadata": {"name": "shop"}, "spec": {"ports": ports}, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}}
    assert service.addresses(OTHER, item, None)[0].url == "http://10.0.0.9:80/"
    assert manifests.service(item, OTHER, "ns", 30081)["spec"]["ports"][1]["nodePort"] == 30081
    assert "/spec/ports/1/nodePort" in equivalents.expose(OTHER, (), manifests.port_index(item, OTHER), 30081)
    assert image.Image(OTHER, "1", "base").reference == "shop:1"
    assert OTHER.selector == "app.kubernetes.io/name=shop"


def test_its_source_names_its_image(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch")
    (tmp_path / "code").write_text("1")
    app = dataclasses.replace(OTHER, source=tmp_path)
    first = image.current(app, "base")
    (tmp_path / "code").write_text("2")
    assert first.reference.startswith("shop:")
    assert image.current(app, "base").reference != first.reference


def test_it_is_asked_at_its_own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_app: Application, _url: str, path: str, _seconds: float) -> dict[str, str] | None:
        return {"host": "pod-1"} if path == "/alive" else None

    monkeypatch.setattr(probe, "ask", answer)
    assert probe.health(OTHER, "http://127.0.0.1:1/") == "pod-1"


def test_the_manifests_of_this_application_are_named_after_it() -> None:
    for name in ("deployment", "poddisruptionbudget", "service"):
        assert manifests.read_one(PROJECT.application, name)["metadata"]["name"] == PROJECT.application.name
    assert (
        yaml.safe_load((PROJECT.application.manifests / "service.yaml").read_text())["spec"]["ports"][0]["name"]
        == PROJECT.application.port
    )


def test_no_other_module_knows_the_name_of_the_application() -> None:
    package = Path(equivalents.__file__).parent
    for path in package.rglob("*.py"):
        if path.name == "application.py":
            continue
        known = (text.replace(TOOL.name, "") for text in strings(path))
        if path.name == "requirements.py":  # it names other images, such as simple-server-node
            known = (text.replace(f"{PROJECT.application.name}-", "") for text in known)
        assert [text for text in known if PROJECT.application.name in text] == [], path


def strings(path: Path) -> Iterator[str]:
    """The constant strings of a module, also those in f-strings, without docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    bodies = [node.body for node in nodes if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    docstrings = [body[0].value for body in bodies if body and isinstance(body[0], ast.Expr)]
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.value
