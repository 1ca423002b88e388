"""The equivalent commands and the pure parts of the actions, for an application of another name, port and folder."""

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubetasks.engine import image
from kubetasks.engine.image import Delivered
from kubetasks.kube import manifests
from kubetasks.kube.manifests import Manifest
from kubetasks.pipeline import desired, probe
from kubetasks.pipeline.desired import Desired, Place
from kubetasks.project.application import Application
from kubetasks.project.labels import TOOL, Owner
from kubetasks.setup.requirements import REPOSITORIES
from kubetasks.terminal import equivalents
from tasks import PROJECT

OTHER = Application(
    name="shop",
    owner=Owner("shop-tasks"),
    source=Path("/source"),
    manifests=Path("/source/deploy"),
    port=80,
    health="/alive",
    pod_key="host",
    node_key="machine",
)
KUBECTL = ("--context", "theirs", "--namespace", "ns")


def lines(app: Application) -> list[str]:
    return [
        equivalents.build(app, image.Image(app, "0123456789ab", "base").names, {"BASE": "base"}),
        equivalents.apply(app, KUBECTL, app.source / "deploy" / "deployment.yaml", images={app.name: f"{app.name}:0123456789ab"}),
        equivalents.rollout_status(KUBECTL, app.name),
        equivalents.apply(app, KUBECTL, app.source / "deploy" / "service.yaml", {"op": "add"}),
        *equivalents.scale(app, KUBECTL, 3),
        *equivalents.rollback(app, KUBECTL, 2),
        equivalents.delete(KUBECTL, "deployment", app.name),
        equivalents.kubectl(KUBECTL, "logs", f"--selector={app.selector}"),
    ]


def test_every_line_names_the_application_and_no_other_and_its_cluster_and_namespace() -> None:
    build, *others = lines(OTHER)
    for line in (build, *others):
        assert "shop" in line or "-f deploy/" in line
        assert PROJECT.application.name not in line.replace(TOOL.name, "")
    assert [line for line in others if "kubectl --context theirs --namespace ns" not in line] == []


@pytest.mark.promise("`docker build -t simple-server:v1 .`", "`kubectl scale deployments/simple-server --replicas=3`")
def test_the_lines_of_the_tutorial() -> None:
    plain = lines(PROJECT.application)[0]
    assert plain.startswith("docker build --tag simple-server:0123456789ab --tag simple-server:v1 --build-arg BASE=base")
    assert equivalents.scale(PROJECT.application, (), 3)[0] == "kubectl scale deployments/simple-server --replicas=3"


def test_a_job_is_deleted_applied_and_waited_for() -> None:
    job = Manifest({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {"template": {"spec": {}}}})
    wanted, there = Desired(image=image.Image(OTHER, "1", "")), Place("ns", Delivered("shop:1", pulled=False), None)
    before, *_, after = desired.lines(OTHER, [job], wanted, there, KUBECTL)
    assert before == "kubectl --context theirs --namespace ns delete job migrate --ignore-not-found"
    assert after == "kubectl --context theirs --namespace ns wait --for=condition=Complete job/migrate --timeout=5m"


def applied(app: Application, pulled: bool = False, **wanted: Any) -> list[str]:
    """The commands for an image that is delivered, or for what is wanted instead."""
    there = Place("ns", Delivered(f"{app.name}:1", pulled=pulled) if not wanted else None, wanted.pop("node_port", None))
    found = manifests.of_application(app)
    return desired.lines(app, found, Desired(**wanted or {"image": image.Image(app, "1", "")}), there, ())


def test_manifests_come_from_its_folder_and_carry_our_label(other: Application) -> None:
    deployment = applied(other)[0]
    assert deployment.startswith(f"kubectl label --local -f deploy/deployment.yaml {OTHER.owner.selector}")
    assert "| kubectl set image --local -f - shop=shop:1 -o yaml |" in deployment


def test_a_pulled_image_gets_a_pull_policy_that_pulls(other: Application) -> None:
    assert "/spec/template/spec/containers/1/imagePullPolicy" in applied(other, pulled=True)[0]
    assert "imagePullPolicy" not in applied(other)[0], "the manifest's own"
    assert equivalents.push("shop:1", "r.example.com/shop:1") == (
        "docker tag shop:1 r.example.com/shop:1",
        "docker push r.example.com/shop:1",
    )


def test_manifests_elsewhere_are_named_by_their_path(other: Application) -> None:
    elsewhere = dataclasses.replace(other, source=other.source / "another")
    assert f"-f {other.manifests}/deployment.yaml" in applied(elsewhere)[0]


def test_what_has_no_file_is_in_the_command() -> None:
    line, *manifest, end = applied(dataclasses.replace(OTHER, manifests=None), exposed=True, node_port=30080)[0].splitlines()
    assert line.startswith(f"kubectl label --local -f - {OTHER.owner.selector} -o yaml <<'EOF' | kubectl patch")
    assert (yaml.safe_load("\n".join(manifest))["kind"], end) == ("Service", "EOF")


@pytest.fixture
def other(tmp_path: Path) -> Application:
    """The other application with a manifest: its container is the second one."""
    app = dataclasses.replace(OTHER, source=tmp_path, manifests=tmp_path / "deploy")
    containers = [{"name": "sidecar", "image": "a"}, {"name": "shop", "image": "b", "imagePullPolicy": "Never"}]
    template = {"metadata": {"labels": {"app.kubernetes.io/name": "shop"}}, "spec": {"containers": containers}}
    item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"}, "spec": {"template": template}}
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "deployment.yaml").write_text(yaml.safe_dump(item))
    return app


def test_it_is_asked_at_its_own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(_app: Application, _url: str, path: str, _seconds: float, *, early: bool) -> dict[str, str] | None:
        return {"host": "pod-1"} if path == "/alive" and early else None

    monkeypatch.setattr(probe, "ask", answer)
    assert probe.health(OTHER, "http://127.0.0.1:1/") == "pod-1"


def test_only_the_help_of_the_tasks_knows_the_name_of_the_application() -> None:
    package = PROJECT.folder / "kubetasks"
    others = "|".join((TOOL.name, *REPOSITORIES))  # which begin with it
    modules = {path.relative_to(package): "".join(strings(path)) for path in package.rglob("*.py")}
    knowing = [str(path) for path, text in modules.items() if PROJECT.application.name in re.sub(others, "", text)]
    assert knowing == ["tasks/__init__.py"]


def strings(path: Path) -> Iterator[str]:
    """The constant strings of a module, also those in f-strings, without docstrings."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    bodies = [node.body for node in nodes if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))]
    docstrings = [body[0].value for body in bodies if body and isinstance(body[0], ast.Expr)]
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings:
            yield node.value
