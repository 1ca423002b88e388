"""The package as its users have it: a wheel in its own environment, for an application unrelated to this repository."""

import os
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kubetasks.project.versions import DEFAULT_KUBERNETES, PYTHON_IMAGE
from kubetasks.testing.cluster import Cluster
from tasks import PROJECT
from tests.support import answers, source
from tests.support.driver import SECONDS, docker
from tests.support.eventually import until
from tests.support.processes import ended, started, until_line
from tests.thorough.package.conftest import Begin, Theirs, build_wheel, namespaces

HELLO = Path(__file__).parent / "apps" / "hello"
OF_ITS_OWN = "test_more.py::test_a_cluster_of_its_own"
SLEEPS = """\
import time

def test_it_hangs(k8s_app):
    print("on", k8s_app.cluster.name, flush=True)
    time.sleep(600)
"""
FAILS = """\
def test_it_fails(k8s_app):
    k8s_app.kubectl("set", "image", "deployment", "--all", "*=Nowhere:1")
    k8s_app.scale(2)
"""
OWN_TASK = """\
from invoke import task
from kubetasks import Project, namespace

@task
def greet(c):
    print("their own", c.config.app.colour)

ns = namespace(Project.of("NAME", __file__, port=8000), greet)
"""


def test_two_builds_give_the_same_wheel_with_nothing_but_the_package(tmp_path: Path) -> None:
    first = build_wheel(PROJECT.folder, tmp_path / "first")
    assert build_wheel(source.clone(tmp_path / "clone"), tmp_path / "second").read_bytes() == first.read_bytes()
    with zipfile.ZipFile(first) as wheel:
        names = set(wheel.namelist())
        assert {name.split("/")[0].partition("-")[0] for name in names} == {"kubetasks"}
        assert "kubetasks/py.typed" in names
        (metadata,) = (name for name in names if name.endswith("METADATA"))
        said = wheel.read(metadata).decode()
        assert "License-Expression: MIT" in said
        assert "Requires-Python: >=3.11" in said, "an older one is refused by pip"
        assert [name for name in names if name.endswith("LICENSE")]


@pytest.fixture
def hello(begin: Begin) -> Theirs:
    return make_hello(begin)


def make_hello(begin: Begin) -> Theirs:
    files = {path.name: path.read_text().replace("BASE_IMAGE", PYTHON_IMAGE) for path in HELLO.iterdir() if path.is_file()}
    return begin(files | {"invoke.yaml": "app: {colour: blue}\ncluster: {of: their own}\n"}, "hello")


@pytest.mark.long
@pytest.mark.usefixtures("throwaway")  # takes a place, because the test creates a cluster
def test_a_dockerfile_and_two_lines_are_enough_beside_our_own_cluster(hello: Theirs, app: Any) -> None:
    url = hello.typed("up").splitlines()[0]
    assert answers.text(url) == "hello\n"
    minor = os.environ.get("INVOKE_CLUSTER_KUBERNETES", DEFAULT_KUBERNETES)
    assert f" v{minor}." in hello.shell("kubectl --kubeconfig=$(kubetasks kubeconfig) get nodes"), "what this run is asked for"
    assert (hello.folder / ".state" / hello.name / "kubeconfig").exists(), "its state lies in its folder"
    assert (hello.folder / ".state" / ".gitignore").read_text() == "*\n"
    told = hello.typed("traffic")
    assert told.count(" yes\n") == 3
    assert "60 of 60 requests were answered; the answers do not name their pod." in told

    again = hello.typed("up")
    assert "is already built" in again
    assert "is deployed" in again, "what its own state folder has is no part of the image"

    server = hello.folder / "server.py"
    server.write_text(server.read_text().replace("hello", "good day"))
    hello.typed("build", "deploy", program="inv")
    assert answers.text(url) == "good day\n"
    hello.typed("rollback")
    assert answers.text(url) == "hello\n"

    told = hello.typed("status", code=2, INVOKE_KUBETASKS_APP_REPLICA="3")
    assert "There is no setting INVOKE_KUBETASKS_APP_REPLICA" in told
    (hello.folder / "tasks.py").write_text(OWN_TASK.replace("NAME", hello.name))
    assert hello.typed("greet", program="inv") == "their own blue\n"
    assert "Example: kubetasks build" in hello.typed("--help", "deploy")

    others = {one["name"] for one in app.json("status")["others"]}  # the clusters of other tests
    assert hello.name not in others, "each lists the clusters of its own project"
    assert hello.typed("clean", "--all").splitlines()[-1] == "Clean."
    assert hello.left() == ""
    assert not (hello.folder / ".state").exists()
    assert app.get("nodes")["items"], "our cluster is still there"


def test_the_fixtures_serve_under_xdist_and_keep_what_others_have(hello: Theirs, on: dict[str, str]) -> None:
    assert "3 passed" in hello.tested("-n2", f"--deselect={OF_ITS_OWN}", on=on)
    assert hello.left() == ""


@pytest.mark.exhaustive
@pytest.mark.long
@pytest.mark.usefixtures("throwaway")  # takes one place, for two clusters at once
def test_two_projects_at_once_each_have_clusters_of_their_own_and_leave_nothing(hello: Theirs, begin: Begin) -> None:
    other = make_hello(begin)
    with started(hello.pytest("-n2", f"--deselect={OF_ITS_OWN}"), hello.environment, hello.folder) as first:
        assert "1 passed" in other.tested(OF_ITS_OWN)
        assert "3 passed" in ended(first, SECONDS)
    assert hello.left() + other.left() == ""


@pytest.mark.exhaustive
@pytest.mark.long
@pytest.mark.usefixtures("throwaway")  # takes a place, because the test creates a cluster
def test_the_next_run_removes_what_a_killed_one_left_and_keeps_a_failed_test_if_it_is_told_to(
    hello: Theirs, k8s_cluster: Cluster, on: dict[str, str]
) -> None:
    (hello.folder / "test_more.py").unlink()
    (hello.folder / "test_hello.py").write_text(SLEEPS)

    def nodes() -> str:
        return docker("ps", "--all", "--quiet", f"--filter=name=^{hello.name}.*-control-plane")

    with started(hello.pytest(), hello.environment, hello.folder) as killed:
        until(lambda: nodes() != "")
        os.killpg(killed.pid, signal.SIGKILL)
    where = [f"--kubetasks-{name}={on[name]}" for name in ("context", "registry")]
    with started(hello.pytest("-s", *where), hello.environment | {"KUBECONFIG": on["kubeconfig"]}, hello.folder) as killed:
        said = until_line(killed, f"on {on['context']}")
        assert nodes() == "", f"the cluster that the first one was creating is gone: {said}"
        os.killpg(killed.pid, signal.SIGKILL)
    (left,) = namespaces(k8s_cluster, hello)

    (hello.folder / "test_hello.py").write_text(FAILS)
    told = hello.tested("--kubetasks-keep", code=pytest.ExitCode.TESTS_FAILED, on=on)
    assert "  code      invalid-image-name\n" in told
    assert left not in namespaces(k8s_cluster, hello), "nobody else was there to remove it"
    kept = next(line for line in told.splitlines() if line.startswith("Kept namespace test-")).partition(": ")[2]
    assert "InvalidImageName" in hello.shell(kept)
    hello.shell(next(line for line in told.splitlines() if line.endswith(" removes it")).removesuffix(" removes it"))
    assert namespaces(k8s_cluster, hello) == []
    hello.typed("rmi")
    assert hello.left() == ""
