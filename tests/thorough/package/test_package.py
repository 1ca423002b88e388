"""The package as others have it: a wheel in an environment of its own, for an application that knows nothing of it."""

import os
import secrets
import shutil
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubetasks.project.versions import PYTHON_IMAGE
from kubetasks.testing.cluster import Cluster
from tasks import PROJECT
from tests.support import answers, cluster, leftovers
from tests.support.clone import clone
from tests.support.driver import docker
from tests.support.installed import SECONDS, Theirs, build_wheel
from tests.support.processes import ended, started, until_line
from tests.support.run import Run

HELLO = Path(__file__).parent / "hello"
SLEEPS = """\
import time

def test_it_hangs(k8s_app):
    print("on", k8s_app.cluster.name, flush=True)
    time.sleep(600)
"""
FAILS = """\
def test_it_fails(k8s_app):
    k8s_app.kubectl("set", "image", "deployment", "--all", "*=nowhere:1")
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
    (tmp_path / "clone").mkdir()
    first = build_wheel(PROJECT.folder, tmp_path / "first")
    assert build_wheel(clone(tmp_path / "clone"), tmp_path / "second").read_bytes() == first.read_bytes()
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
def hello(this_run: Run, tmp_path: Path, installed: Path) -> Iterator[Theirs]:
    """The application under a name that no other run has; its state and its images must be gone in the end."""
    made = make_hello(this_run, tmp_path / "hello", installed)
    yield made
    leftovers.remove(made.name)


def make_hello(this_run: Run, folder: Path, installed: Path) -> Theirs:
    name = f"{this_run.prefix}{secrets.token_hex(2)}"
    shutil.copytree(HELLO, folder)
    for file, old, new in (("tasks.py", '"hello"', f'"{name}"'), ("Dockerfile", "BASE_IMAGE", PYTHON_IMAGE)):
        (folder / file).write_text((folder / file).read_text().replace(old, new))
    (folder / "invoke.yaml").write_text("app: {colour: blue}\ncluster: {of: their own}\n")
    return Theirs(name, folder, installed, cluster.any_port())


def test_a_dockerfile_and_two_lines_are_enough_beside_our_own_cluster(hello: Theirs, app: Any) -> None:
    url = hello.typed("up").splitlines()[0]
    assert answers.text(url) == "hello\n"
    assert (hello.folder / ".state" / hello.name / "kubeconfig").exists(), "its state lies in its folder"
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
    assert "Example: kubetasks build" in hello.typed("--help", "rmi") + hello.typed("--help", "deploy")

    others = {one["name"] for one in app.json("status")["others"]}  # those of other tests
    assert hello.name not in others, "each lists the clusters of its own project"
    assert hello.typed("clean", "--all").splitlines()[-1] == "Clean."
    assert hello.left() == ""
    assert not (hello.folder / ".state").exists()
    assert app.get("nodes")["items"], "our cluster is still there"


@pytest.mark.usefixtures("throwaway")  # for the place: they create two clusters at once
def test_the_fixtures_serve_two_projects_at_once_under_xdist_and_leave_nothing(
    hello: Theirs, this_run: Run, tmp_path: Path, installed: Path
) -> None:
    other = make_hello(this_run, tmp_path / "other", installed)
    words = ["-q", "-n2", "--kubetasks-kubernetes=1.36"]
    with started(hello.pytest(*words), hello.environment, hello.folder) as first:
        with started(other.pytest("-q", "test_hello.py", "-k", "answers"), other.environment, other.folder) as second:
            assert "1 passed" in ended(second, SECONDS)
        assert "5 passed" in ended(first, SECONDS)
    assert hello.left() + other.left() == ""


def test_the_fixtures_serve_on_a_cluster_of_others_and_take_their_namespaces_away(
    hello: Theirs, k8s_cluster: Cluster, this_run: Run
) -> None:
    registry = this_run.tasks.provider().cluster().registry
    assert registry
    words = [
        "test_hello.py",
        "-q",
        "-n2",
        f"--kubetasks-context={k8s_cluster.context}",
        f"--kubetasks-registry={registry.outside}",
    ]
    with started(hello.pytest(*words), hello.environment | {"KUBECONFIG": str(k8s_cluster.kubeconfig)}, hello.folder) as run:
        assert "2 passed" in ended(run, SECONDS)
    assert hello.left() == ""
    assert namespaces(k8s_cluster, f"app.kubernetes.io/managed-by=kubetasks-{hello.name}") == []
    assert "namespace/metallb-system" in namespaces(k8s_cluster), "the cluster and what others have in it stay"


def namespaces(cluster: Cluster, selector: str = "") -> list[str]:
    return cluster.kubectl("get", "namespaces", "--output=name", f"--selector={selector}").split()


@pytest.mark.usefixtures("throwaway")
def test_the_next_run_removes_what_a_killed_one_left_and_keeps_a_failed_test_if_it_is_told_to(hello: Theirs) -> None:
    (hello.folder / "test_more.py").unlink()
    (hello.folder / "test_hello.py").write_text(SLEEPS)
    with started(hello.pytest("-s"), hello.environment, hello.folder) as killed:
        name = until_line(killed, f"on {hello.name}-t").split()[-1]
        os.killpg(killed.pid, signal.SIGKILL)
    assert docker("ps", "--quiet", "--filter", f"name=^{name}"), "nobody was left to remove it"

    (hello.folder / "test_hello.py").write_text(FAILS)
    with started(hello.pytest("--kubetasks-keep"), hello.environment, hello.folder) as keeping:
        told = ended(keeping, SECONDS)
    assert keeping.returncode == pytest.ExitCode.TESTS_FAILED, told
    assert docker("ps", "--all", "--quiet", "--filter", f"name=^{name}") == "", "what the killed run left"
    assert "  code      image-never-pull\n" in told.partition(": diagnosis ---")[2]
    assert "Kept namespace test-" in told
    look = next(line for line in told.splitlines() if line.startswith("Kept namespace")).partition(": ")[2]
    assert "ErrImageNeverPull" in run(hello, look)
    run(hello, next(line for line in told.splitlines() if line.endswith("delete removes it")).removesuffix(" removes it"))
    hello.typed("rmi")
    assert hello.left() == ""


def run(hello: Theirs, line: str) -> str:
    """Run a line that was printed."""
    return subprocess.check_output(["bash", "-c", line], cwd=hello.folder, env=os.environ | hello.environment, text=True)


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        ({"tasks.py": ('"test', '"Test')}, "The application's name must be at most 40 lower-case letters", 2),
        ({"tasks.py": ("8000", "80000")}, "must be a number from 1 to 65535, not 80000", 2),
        ({"tasks.py": ("port=8000", 'health="healthz"')}, "must begin with a slash", 2),
        ({"Dockerfile": None}, "There is no Dockerfile in ", 5),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    hello: Theirs, change: dict[str, tuple[str, str] | None], words: str, code: int
) -> None:
    for name, edit in change.items():
        file = hello.folder / name
        file.write_text(file.read_text().replace(*edit)) if edit else file.unlink()
    told = hello.typed("up", code=code)
    assert words in told
    assert "Traceback" not in told
    assert hello.left() == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("port=8000, health='/alive'", "runs and is not ready: HTTP probe failed with statuscode: 404"),
        ("port=8001", ":8001: connect: connection refused"),
    ],
)
def test_a_port_or_a_health_path_that_does_not_answer_is_named(hello: Theirs, line: str, words: str) -> None:
    tasks = hello.folder / "tasks.py"
    tasks.write_text(tasks.read_text().replace("port=8000", line))
    told = hello.typed("up", code=6)
    assert words in told
