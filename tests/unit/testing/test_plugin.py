"""The plugin, in separate pytest runs on a machine without an engine."""

import re
from pathlib import Path

import pytest

from tests.unit.tasks.test_command_line import python

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

Session.throwaway = Session.cluster = lambda *_, **given: print(given) or Stuck()
"""
COUNTED = STUCK.replace('raise LeftoverError("Namespace shop stays.", "kubectl get all")', "print('deleted')")
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


KEEPS = "; --kubetasks-keep keeps it.\n"
ASKING = "def test_it(k8s_cluster):\n    pass\n\ndef test_too(k8s_app):\n    pass\n"


def run(folder: Path, *words: str, test: str, tasks: str = TASKS, conftest: str = "", **variables: str) -> tuple[int, str]:
    """Run pytest with the plugin in a project, with its own cache and temporary files; return exit code and output."""
    for name, text in {"tasks.py": tasks, "test_it.py": test, "conftest.py": conftest}.items():
        if text:
            (folder / name).write_text(text)
    (folder / "tmp").mkdir()
    own = {"TMPDIR": str(folder / "tmp"), "XDG_CACHE_HOME": str(folder / "cache")}
    argv = ["-m", "pytest", "-p", "kubetasks.pytest_plugin", "-p", "no:randomly", "-q", *words]
    ended = python(*argv, folder=folder, environment=own | variables)
    told = ended.stdout + ended.stderr
    assert "Traceback" not in told
    return ended.returncode, told


@pytest.mark.parametrize("workers", [[], ["-n1"]])
def test_a_run_that_asks_for_no_cluster_changes_nothing_and_imports_little(tmp_path: Path, workers: list[str]) -> None:
    test = "import pytest\n\n@pytest.mark.k8s\ndef test_it():\n    pass\n"
    code, told = run(tmp_path, "--strict-markers", *workers, test=test, tasks="", conftest=WATCHED)
    assert (code, "Error" in told) == (0, False), told
    assert not (tmp_path / "cache").exists()
    assert [path.name for path in (tmp_path / "tmp").iterdir() if path.name.startswith("kubetasks")] == []


@pytest.mark.parametrize(
    ("option", "variables", "words"),
    [
        ("", {}, "engine, kind, node image.*; kubetasks setup !"),
        ("", {KUBERNETES: "1.2"}, f"{KUBERNETES} must be one of .*"),
        ("provider=minikube", {}, f"engine, minikube, node image.*; {PROVIDER}=minikube kubetasks setup !"),
        ("provider=kind", {PROVIDER: "minikube"}, "engine, kind, node image.*; kubetasks setup !"),
        ("kubernetes=1.35", {KUBERNETES: "1.34"}, f"engine, kind, node image.*; {KUBERNETES}=1.35 kubetasks setup !"),
    ],
)
def test_what_the_machine_lacks_or_an_option_has_wrong_is_a_usage_error_and_an_option_comes_before_a_variable(
    tmp_path: Path, option: str, variables: dict[str, str], words: str
) -> None:
    code, told = run(tmp_path, *([f"--kubetasks-{option}"] if option else []), test=ASKING, **variables)
    assert (code, re.search(f" {words}\n$", told, re.DOTALL) is not None) == (pytest.ExitCode.USAGE_ERROR, True), told
    assert list((tmp_path / "tmp").glob("kubetasks*")) == []


def test_with_workers_each_test_that_needs_it_says_so(tmp_path: Path) -> None:
    code, told = run(tmp_path, "-n2", test=ASKING)
    assert (code, "2 errors" in told) == (pytest.ExitCode.TESTS_FAILED, True), told
    assert told.count("\nMissing on this machine: engine") == 2, "in the words of the one that was first"
    assert "Error:" not in told


def test_tasks_are_found_above_the_folder_of_the_tests(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "tests").mkdir()
    test = "def test_it(k8s_application):\n    print('for', k8s_application.folder)\n"
    assert f"for {tmp_path}\n" in run(tmp_path / "tests", "-s", test=test, tasks="")[1]


@pytest.mark.parametrize("fixture", ["k8s_namespace", "k8s_throwaway"])
def test_what_cannot_be_removed_after_a_test_is_an_error_of_that_test_with_what_to_type(tmp_path: Path, fixture: str) -> None:
    code, told = run(tmp_path, test=f"def test_it({fixture}):\n    pass\n", conftest=STUCK)
    assert (code, "1 passed, 1 error" in told) == (pytest.ExitCode.TESTS_FAILED, True), told
    assert "ERROR at teardown of test_it" in told
    assert ("'with_image': False" in told) == (fixture == "k8s_namespace"), "no test needs the image"
    assert "pytest_plugin.py" not in told, "it is no traceback"
    assert re.search(r"Namespace shop stays\.\n\S?\s+kubectl get all\n", told)


@pytest.mark.parametrize(
    ("tasks", "words"),
    [("", "There is no project"), ("x = 1\n", "There is no project"), ("import kubetasks\n", "has no tasks of kubetasks")],
)
def test_a_root_folder_without_our_tasks_is_told_what_to_write(tmp_path: Path, tasks: str, words: str) -> None:
    _, told = run(tmp_path, test="def test_it(k8s_namespace):\n    pass\n", tasks=tasks)
    assert words in told


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
    code, told = run(tmp_path, *workers, test="def test_it():\n    pass\n", conftest=LEAVES)
    assert (code, "1 passed" in told) == (pytest.ExitCode.TESTS_FAILED, True), told
    assert "No container engine answers" in told
    assert "forgets it" in told


@pytest.mark.parametrize(("scope", "namespaces"), [("function", 3), ("module", 2), ("session", 1)])
def test_a_namespace_is_there_for_as_long_as_somebody_wants(tmp_path: Path, scope: str, namespaces: int) -> None:
    tests = "def test_it(k8s_namespace):\n    pass\n\ndef test_too(k8s_namespace):\n    pass\n"
    (tmp_path / "test_another.py").write_text("def test_it(k8s_namespace):\n    pass\n")
    code, told = run(tmp_path, "-s", f"--kubetasks-scope={scope}", test=tests, conftest=COUNTED)
    assert (code, told.count("deleted")) == (0, namespaces), told


def test_what_a_failed_test_used_is_kept_if_somebody_asks_also_after_a_later_test(tmp_path: Path) -> None:
    tests = "def test_it(k8s_namespace):\n    assert False\n\ndef test_too(k8s_namespace):\n    pass\n"
    code, told = run(tmp_path, "-s", "--kubetasks-scope=module", "--kubetasks-keep", test=tests, conftest=COUNTED)
    assert (code, told.count("deleted"), KEEPS in told) == (1, 0, False), told


def test_a_failed_test_says_what_would_have_kept_its_cluster(tmp_path: Path) -> None:
    tests = "def test_it(k8s_namespace):\n    assert False\n"
    assert run(tmp_path, "-n1", test=tests, conftest=COUNTED)[1].count(KEEPS) == 1


@pytest.mark.parametrize(
    ("test", "conftest", "words"),
    [
        ("@pytest.mark.k8s(node=2)\ndef test_it(k8s_throwaway): ...", "", "takes nodes=NUMBER and kind=FILE, not node."),
        ("@pytest.mark.k8s(2)\ndef test_it(k8s_throwaway): ...", "", "takes nodes=NUMBER and kind=FILE, not 2."),
        ("@pytest.mark.k8s(nodes=2)\ndef test_it(k8s_cluster): ...", "", "k8s_throwaway, which this test does not use."),
        ("def test_it(k8s_cluster): ...", "k8s_application", "must return a kubetasks.Project, not 'text'."),
        ("def test_it(k8s_throwaway): ...", "k8s_application", "must return a kubetasks.Project, not 'text'."),
        ("def test_it(k8s_namespace): ...", "k8s_namespace_labels", "must return a dict, not 'text'."),
    ],
)
def test_a_mark_or_a_fixture_that_cannot_be_meant_is_an_error_in_a_sentence(
    tmp_path: Path, test: str, conftest: str, words: str
) -> None:
    overridden = (
        f"\nimport pytest\n\n@pytest.fixture(scope='session')\ndef {conftest}():\n    return 'text'\n" if conftest else ""
    )
    code, told = run(tmp_path, test=f"import pytest\n\n{test}\n", conftest=COUNTED + overridden)
    assert (code, f"{words}\n" in told) == (pytest.ExitCode.TESTS_FAILED, True), told
    assert "pytest_plugin.py" not in told


def test_a_mark_of_a_test_that_asks_for_the_fixture_itself_is_right(tmp_path: Path) -> None:
    test = "import pytest\n\n@pytest.mark.k8s(nodes=2)\ndef test_it(request):\n    request.getfixturevalue('k8s_throwaway')\n"
    code, told = run(tmp_path, test=test, conftest=COUNTED)
    assert code == 0, told


def test_without_a_terminal_a_failed_test_is_one(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import kubetasks.errors\n\ndef test_it():\n    assert False\n")
    ended = python("-m", "pytest", "-p", "kubetasks.pytest_plugin", "-p", "no:terminal", folder=tmp_path, environment={})
    assert ended.returncode == pytest.ExitCode.TESTS_FAILED, ended.stderr


REFUSED = """\
from kubetasks.testing.cluster import Cluster

def test_it(k8s_application, k8s_namespace):
    Cluster(k8s_application, {"cluster.nodes": "many"}).kubectl("get", "pods")
"""


@pytest.mark.parametrize("whole", ["", "--full-trace", "--tb=long"])
def test_an_error_is_shown_where_the_test_has_called_us_and_the_diagnosis_once(tmp_path: Path, whole: str) -> None:
    known = COUNTED.replace('return ""', 'return "INVOKE_KUBETASKS_CLUSTER_NODES must be a whole number"')
    code, told = run(tmp_path, *whole.split(), test=REFUSED, conftest=known)
    assert code == 1, told
    assert re.search("\nE +kubetasks.errors.SettingError: INVOKE_KUBETASKS_CLUSTER_NODES", told)
    assert ("kubetasks/testing/cluster.py:" in told, ": diagnosis" in told) == (whole != "", False), told


def test_what_is_said_while_a_cluster_comes_up_is_not_captured(tmp_path: Path) -> None:
    told = run(tmp_path, test="def test_it(k8s_cluster):\n    print('captured')\n", conftest=COUNTED)[1]
    assert ("{'with_image': False}" in told, "captured" in told) == (True, False), told
