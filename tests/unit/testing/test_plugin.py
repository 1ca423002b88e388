"""The plugin in runs of pytest of their own, on a machine without an engine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import PROJECT

TASKS = """\
from kubetasks import Project, namespace
ns = namespace(Project.of("shop", __file__))
"""
STUCK = """\
import pytest
from kubetasks.errors import LeftoverError
from kubetasks.testing.session import Session

class Stuck:
    name = "stuck"

    def create_namespace(self, *_): pass
    def diagnosis(self, *_): return ""
    def delete(self, *_, **__): raise LeftoverError("Namespace shop stays.", "kubectl get all")
    delete_namespace = delete

Session.throwaway = Session.cluster = lambda *_: Stuck()
"""
PROVIDER, KUBERNETES = "INVOKE_KUBETASKS_CLUSTER_PROVIDER", "INVOKE_KUBETASKS_CLUSTER_KUBERNETES"
WATCHED = """\
import os, signal, sys

BEFORE = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)], dict(os.environ)

def pytest_sessionfinish():
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    for name in set(os.environ) - set(BEFORE[1]):
        assert name.startswith("PYTEST_"), name
    assert BEFORE[0] == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    ours = {name for name in sys.modules if name.startswith(("kubetasks.", "invoke", "docker", "kubernetes"))}
    assert ours <= {"kubetasks.pytest_plugin", "kubetasks.testing"}, ours
"""


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin in a folder, with a cache folder and a folder for temporary files of its own."""
    (folder / "tmp").mkdir(exist_ok=True)
    own = {"TMPDIR": str(folder / "tmp"), "XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(PROJECT.folder)}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "kubetasks.pytest_plugin", "-p", "no:randomly", "-q", *words],
        cwd=folder,
        env=os.environ | own | {"DOCKER_HOST": "unix:///nowhere/docker.sock"} | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("workers", [[], ["-n1"]])
def test_a_run_that_asks_for_no_cluster_changes_nothing_and_imports_little(tmp_path: Path, workers: list[str]) -> None:
    (tmp_path / "conftest.py").write_text(WATCHED)
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    ended = run(tmp_path, *workers)
    assert (ended.returncode, "Error" in ended.stdout + ended.stderr) == (0, False), ended.stdout + ended.stderr
    assert not (tmp_path / "cache").exists()
    assert [path.name for path in (tmp_path / "tmp").iterdir() if path.name.startswith("kubetasks")] == []


def test_what_the_machine_lacks_ends_the_run_as_a_usage_error_with_what_to_type(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "test_it.py").write_text("def test_it(k8s_cluster):\n    pass\n\ndef test_too(k8s_app):\n    pass\n")
    ended = run(tmp_path)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "This machine lacks: engine" in ended.stdout + ended.stderr
    assert "kubetasks setup" in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert list((tmp_path / "tmp").glob("kubetasks*")) == []


def test_with_workers_each_test_that_needs_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "test_it.py").write_text("def test_it(k8s_cluster):\n    pass\n\ndef test_too(k8s_app):\n    pass\n")
    ended = run(tmp_path, "-n2")
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "2 errors" in ended.stdout
    assert ended.stdout.count("\nThis machine lacks: engine") == 2, "in the words of the one that was first"
    assert "Error:" not in ended.stdout


def test_tasks_are_found_above_the_folder_of_the_tests(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "tests" / "test_it.py").write_text("def test_it(k8s_application):\n    print('for', k8s_application.folder)\n")
    assert f"for {tmp_path}\n" in run(tmp_path / "tests", "-s").stdout


@pytest.mark.parametrize(
    ("option", "variables", "lacks", "given"),
    [
        ("provider=minikube", {}, "minikube", f"{PROVIDER}=minikube "),
        ("provider=kind", {PROVIDER: "minikube"}, "kind", ""),
        ("kubernetes=1.35", {KUBERNETES: "1.34"}, "kind", f"{KUBERNETES}=1.35 "),
    ],
)
def test_an_option_chooses_what_creates_the_cluster_whatever_a_variable_says(
    tmp_path: Path, option: str, variables: dict[str, str], lacks: str, given: str
) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "test_it.py").write_text("def test_it(k8s_cluster):\n    pass\n")
    told = run(tmp_path, f"--kubetasks-{option}", **variables).stdout
    assert f"This machine lacks: engine, {lacks}, node image" in told
    assert told.endswith(f"; {given}kubetasks setup !\n")


@pytest.mark.parametrize("fixture", ["k8s_namespace", "k8s_throwaway"])
def test_what_cannot_be_removed_after_a_test_is_an_error_of_that_test_with_what_to_type(tmp_path: Path, fixture: str) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "conftest.py").write_text(STUCK)
    (tmp_path / "test_it.py").write_text(f"def test_it({fixture}):\n    pass\n")
    ended = run(tmp_path)
    assert (ended.returncode, "1 passed, 1 error" in ended.stdout) == (pytest.ExitCode.TESTS_FAILED, True), ended.stdout
    assert "ERROR at teardown of test_it" in ended.stdout
    assert "pytest_plugin.py" not in ended.stdout, "it is no traceback"
    assert re.search(r"Namespace shop stays\.\n\S?\s+kubectl get all\n", ended.stdout)


def test_options_that_do_not_fit_are_refused_in_the_words_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "test_it.py").write_text("def test_it(k8s_cluster):\n    pass\n")
    ended = run(tmp_path, "--kubetasks-kubernetes=1.2")
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "INVOKE_KUBETASKS_CLUSTER_KUBERNETES must be one of" in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "There is no project"), ("x = 1\n", "There is no project"), ("import kubetasks\n", "has no tasks of kubetasks")],
)
def test_a_root_folder_without_our_tasks_is_told_what_to_write(tmp_path: Path, text: str | None, words: str) -> None:
    if text:
        (tmp_path / "tasks.py").write_text(text)
    (tmp_path / "test_it.py").write_text("def test_it(k8s_namespace):\n    pass\n")
    ended = run(tmp_path)
    assert words in ended.stdout
    assert "Traceback" not in ended.stdout


def test_the_fixtures_say_what_they_are(tmp_path: Path) -> None:
    told = run(tmp_path, "--fixtures").stdout
    for name in ("application", "cluster", "namespace", "app", "traffic", "throwaway"):
        assert f"k8s_{name}" in told
    assert "@pytest.mark.k8s(nodes=1)" in run(tmp_path, "--markers").stdout


LEAVES = """\
import pytest
from kubetasks.pytest_plugin import TOKEN, _session
from kubetasks.testing import shared_folder

def pytest_sessionstart(session):
    if not hasattr(session.config, "workerinput"):
        shared_folder(session.config.stash[TOKEN]).mkdir()
        entry = {"project": {"name": "shop", "folder": str(session.config.rootpath), "owner": "kubetasks-shop"}}
        _session(session.config).ledger.note(entry | {"given": {"cluster.provider": "kind", "cluster.name": "shop-1"}})
"""


@pytest.mark.parametrize("workers", [[], ["-n1"]])
def test_a_run_that_passes_and_leaves_something_fails_and_says_what_keeps_it(tmp_path: Path, workers: list[str]) -> None:
    (tmp_path / "conftest.py").write_text(LEAVES)
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")
    ended = run(tmp_path, *workers)
    assert "1 passed" in ended.stdout
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED
    assert "No container engine answers" in ended.stderr
    assert "forgets it" in ended.stderr
