"""What no transcript has: equivalent commands, and a health path, of an application of another name, port and folder."""

import re
from pathlib import Path

import pytest
import yaml

from kubetasks.engine import image
from kubetasks.engine.image import Delivered
from kubetasks.kube.manifests import Manifest
from kubetasks.pipeline import desired, probe
from kubetasks.pipeline.desired import Desired, Place
from kubetasks.project.application import Application
from kubetasks.project.labels import TOOL, Owner
from kubetasks.setup.requirements import REPOSITORIES
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


def test_a_job_is_deleted_applied_and_waited_for() -> None:
    job = Manifest({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": {"template": {"spec": {}}}})
    wanted, there = Desired(image=image.Image(OTHER, "1", "")), Place("ns", Delivered("shop:1", pulled=False), None)
    before, *_, after = desired.lines(OTHER, [job], wanted, there, KUBECTL)
    assert before == "kubectl --context theirs --namespace ns delete job migrate --ignore-not-found"
    assert after == "kubectl --context theirs --namespace ns wait --for=condition=Complete job/migrate --timeout=5m"


@pytest.mark.parametrize("pulled", [False, True])
def test_what_has_no_file_is_in_the_command_and_a_pulled_image_gets_a_pull_policy_that_pulls(pulled: bool) -> None:
    containers = [{"name": "sidecar", "image": "a"}, {"name": "shop", "image": "b", "imagePullPolicy": "Never"}]
    template = {"metadata": {"labels": {"app.kubernetes.io/name": "shop"}}, "spec": {"containers": containers}}
    item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop"}, "spec": {"template": template}}
    wanted, there = Desired(image=image.Image(OTHER, "1", "")), Place("ns", Delivered("shop:1", pulled=pulled), None)
    command = desired.lines(OTHER, [Manifest(item)], wanted, there, KUBECTL)[0]
    line, *manifest, end = command.splitlines()
    assert line.startswith(f"kubectl label --local -f - {OTHER.owner.selector} -o yaml <<'EOF' | kubectl set image")
    assert " --local -f - shop=shop:1 -o yaml | " in line
    assert ("/spec/template/spec/containers/1/imagePullPolicy" in line) is pulled, "else the manifest's own"
    assert (yaml.safe_load("\n".join(manifest)), end) == (item, "EOF")


def test_it_is_asked_at_its_own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ask", lambda _app, _url, path, _seconds, **_: {"host": path})
    assert probe.health(OTHER, "http://127.0.0.1:1/") == "/alive"


def test_only_the_help_of_the_tasks_knows_the_name_of_the_application() -> None:
    package = PROJECT.folder / "kubetasks"
    others = "|".join((TOOL.name, *REPOSITORIES))  # which begin with it
    quoted = rf"""["'][^"'\n]*{PROJECT.application.name}"""
    modules = {str(path.relative_to(package)): path.read_text() for path in package.rglob("*.py")}
    knowing = [name for name, text in modules.items() if re.search(quoted, re.sub(others, "", text))]
    assert knowing == ["tasks/__init__.py"]
