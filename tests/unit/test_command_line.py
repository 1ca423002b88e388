"""The command line as a person meets it, where no engine and no cluster is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.program import Program

from kubetasks.settings import PROJECT
from tasks import ns

TASKS = (
    "start docker-env build deploy status expose scale service traffic unexpose undeploy rmi stop delete clean up setup "
    "doctor kubeconfig logs test"
).split()


OTHERS = ("docker", "filelock", "kubernetes", "rich", "yaml", "tenacity", "requests", "urllib3", "bottle", "granian")


def invoke(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=PROJECT,
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_list_names_every_task() -> None:
    listed = invoke("--list").stdout
    assert {line.split()[0] for line in listed.splitlines() if line.startswith("  ") and line[2] != " "} == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_the_help_of_every_task_has_an_example(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    Program(namespace=ns).run(["inv", "--help", task], exit=False)
    assert "Example: " in capsys.readouterr().out


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """A PYTHONPATH on which invoke is the only package of others that can be found."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({OTHERS}))\n"  # None: as if it could not be found
    )
    return str(tmp_path)


def test_the_list_needs_nothing_but_invoke(bare: str) -> None:
    shown = invoke("--list", PYTHONPATH=bare)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "deploy" in shown.stdout


def test_missing_packages_are_one_sentence(bare: str) -> None:
    ended = invoke("build", PYTHONPATH=bare)
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (
        9,
        "Python packages are missing: docker, filelock, kubernetes, rich, tenacity, yaml.",
    )


@pytest.mark.parametrize(
    ("words", "environment", "code", "sentence"),
    [
        (["scale", "--replicas=-1"], {}, 2, "--replicas must be a whole number from 0 to 100, not '-1'"),
        (["scale", "--replicas=three"], {}, 2, "--replicas must be a whole number"),
        (["scale"], {"INVOKE_APP_REPLICAS": "no"}, 2, "INVOKE_APP_REPLICAS must be a whole number"),
        (["start"], {"INVOKE_CLUSTER_NAME": "My_Cluster"}, 2, "INVOKE_CLUSTER_NAME must be"),
        (["start"], {"INVOKE_CLUSTER_PROVIDER": "podman"}, 2, "INVOKE_CLUSTER_PROVIDER must be one of kind, existing"),
        (["traffic", "--requests=0"], {}, 2, "--requests must be"),
        (["setup", "--remove", "--stop"], {}, 2, "--remove and --stop exclude each other"),
        (["build"], {}, 3, "No container engine answers"),
        (["start"], {}, 3, "No container engine answers"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_an_exit_code(
    words: list[str], environment: dict[str, str], code: int, sentence: str
) -> None:
    ended = invoke(*words, **environment)
    assert ended.returncode == code
    assert ended.stderr.startswith(sentence)
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 2


def test_a_docker_socket_that_may_not_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "__init__.py").write_text(
        "from docker.errors import DockerException\n"
        "def from_env(**_): raise DockerException(\"('Connection aborted.', PermissionError(13, 'Permission denied'))\")\n"
    )
    (tmp_path / "docker" / "errors.py").write_text("class DockerException(Exception): pass\n")
    ended = invoke("build", PYTHONPATH=str(tmp_path))
    assert ended.returncode == 3
    assert "may not use the container engine's socket" in ended.stderr
    assert "usermod -aG docker" in ended.stderr


def test_cleaning_where_nothing_ever_was_is_fine() -> None:
    ended = invoke("clean", "--all", INVOKE_CLUSTER_NAME="never-made")
    assert ended.returncode == 0
    assert "nothing to clean" in ended.stderr


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m invoke --dry up | head -n 1"
    ended = subprocess.run(command, shell=True, cwd=PROJECT, capture_output=True, text=True)  # noqa: S602  a pipe is the point
    assert ended.stdout.startswith("export ")
    assert ended.stderr == ""


def test_dry_shows_commands_even_without_an_engine() -> None:
    shown = invoke("--dry", "build", "deploy", "expose", "scale")
    assert shown.returncode == 0
    assert "docker build --tag simple-server:v1" in shown.stdout
    assert "kubectl scale deployments/simple-server --replicas=3" in shown.stdout


def test_the_list_loads_nothing_that_only_a_running_task_needs() -> None:
    code = "import sys, tasks; print([name for name in sys.modules if name.startswith('kubetasks.steps.')])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert shown.stdout == "[]\n", shown.stderr
