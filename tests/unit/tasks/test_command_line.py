"""The command line as the user sees it, without an engine or a cluster."""

import errno
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from invoke.executor import Executor

from kubetasks.__main__ import GROUPS, Tasks
from kubetasks.errors import FileError
from tasks import PROJECT, ns
from tests.unit.failing import raising

TASKS = (
    "start docker-env build deploy status expose scale service tunnel traffic unexpose undeploy rmi stop delete clean up dev "
    "setup doctor kubeconfig logs diagnose rollback test docs"
).split()


ROOM = "df -h shows where there is room"
OTHERS = ("docker", "filelock", "kubernetes", "rich", "yaml", "tenacity", "requests", "urllib3", "bottle", "granian")


def python(
    *words: str, folder: Path = PROJECT.folder, environment: Mapping[str, str] = {}, to: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run Python with a DOCKER_HOST at which no engine answers."""
    own = {"DOCKER_HOST": "unix:///nowhere/docker.sock", "PYTHONPATH": str(PROJECT.folder)}
    argv, variables = [sys.executable, *words], {**os.environ, **own, **environment}
    return subprocess.run(argv, cwd=folder, env=variables, stdout=to, stderr=subprocess.PIPE, text=True, timeout=120)


def invoke(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "kubetasks", *words, environment=environment)


IN_ANOTHER_PROGRAM = """
import signal, sys
from invoke import Program
from tasks import ns

def handlers():
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)], sys.unraisablehook

before = handlers()
Program(namespace=ns).run(["inv", "--dry", "build"], exit=False)
assert handlers() == before
"""


def test_a_folder_without_tasks_is_told(tmp_path: Path) -> None:
    ended = python("-m", "kubetasks", "--list", folder=tmp_path)
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (2, f"There is no tasks.py in {tmp_path} or above it.")


def test_another_program_that_runs_a_task_keeps_its_signal_handlers() -> None:
    ended = python("-c", IN_ANOTHER_PROGRAM)
    assert ended.returncode == 0, ended.stderr
    assert "docker build" in ended.stdout


@pytest.mark.promise("`./inv --list` shows all tasks")
@pytest.mark.parametrize("words", [["kubetasks", "--list"], ["kubetasks"], ["invoke", "--list"]], ids=" ".join)
def test_the_list_names_every_task(words: list[str]) -> None:
    listed = python("-m", *words).stdout
    assert {line.split()[0] for line in listed.splitlines() if line.startswith("  ")} == set(TASKS)
    assert "Others:" not in listed, "each task has a group"


@pytest.mark.promise("Each command of the original")
def test_each_row_of_the_tutorials_table_names_tasks_and_each_group_has_its_order() -> None:
    table = (PROJECT.folder / "README.md").read_text().partition("## The tutorial's commands")[2].partition("\n## ")[0]
    _, _, *rows = re.findall(r"^\|.*\|$", table, re.MULTILINE)
    named = [re.findall(r"`(?:eval \"\$\()?\./inv (?:setup )?([a-z-]+)", row) for row in rows]
    assert [row for row, names in zip(rows, named, strict=True) if not names or not set(names) <= set(TASKS)] == []
    order = list(dict.fromkeys(name for names in named for name in names))
    assert {"start", "docker-env", "status", "scale", "clean", "up"} <= set(order)
    for names in GROUPS.values():
        told = [name for name in names if name in order]
        assert told == sorted(told, key=order.index)


AT_ITS_END_AND_LINE_BY_LINE = pytest.mark.parametrize("words", [["--list"], ["--dry", "traffic"]])


@AT_ITS_END_AND_LINE_BY_LINE
def test_a_full_disk_is_said_in_a_sentence(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ended = python("-m", "kubetasks", *words, environment={"PYTHONUNBUFFERED": ""}, to=full.fileno())
    assert (ended.returncode, ended.stderr) == (FileError.code, f"A file: No space left on device.\n  {ROOM}\n")


@AT_ITS_END_AND_LINE_BY_LINE
def test_a_reader_that_has_seen_enough_is_no_error_and_the_exit_code_is_that_of_a_broken_pipe(words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ended = python("-m", "kubetasks", *words, environment={"PYTHONUNBUFFERED": ""}, to=writing)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((PROJECT.folder / "pyproject.toml").read_text())["project"]
    assert invoke("--version").stdout == f"inv {project['version']}\n"


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (KeyboardInterrupt(), 130, r"Interrupted\.\n"),
        (PermissionError(errno.EACCES, "It is theirs", "/a/file"), 12, r"/a/file: It is theirs\.\n.*ls -ld /a/file.*\n"),
        (OSError(errno.ENOSPC, "No space left", "/a/file"), 12, rf"/a/file: No space left\.\n.*{ROOM}.*\n"),
    ],
)
def test_a_task_that_is_interrupted_or_refused_by_the_system_ends_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, told: str
) -> None:
    monkeypatch.setattr(Executor, "execute", raising(error))
    with pytest.raises(SystemExit) as ended:
        Tasks(namespace=ns).run(["inv", "build"])
    assert ended.value.code == code
    assert re.fullmatch(told, capsys.readouterr().err)


def test_a_terminal_without_unicode_is_no_reason_to_fail() -> None:
    code = "from kubetasks import __main__ as program; program.Tasks.run = lambda self: print('\xf6'); program.main()"
    assert python("-c", code, environment={"PYTHONIOENCODING": "ascii"}).stdout == "\\xf6\n"


@pytest.mark.promise("`./inv --list` shows all tasks")
@pytest.mark.parametrize("task", TASKS)
def test_the_help_of_every_task_has_an_example_and_says_how_it_is_undone(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    Tasks(namespace=ns).run(["inv", "--help", task], exit=False)
    shown = capsys.readouterr().out
    assert "Example: " in shown
    assert any(words in shown for words in ("Undo: ", "It changes nothing", "It cannot be undone", "It removes what it creates"))


def test_the_list_needs_nothing_but_invoke_and_a_task_says_which_packages_are_missing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({OTHERS}))\n"  # None makes the import fail
    )
    shown = invoke("--list", PYTHONPATH=str(tmp_path))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "deploy" in shown.stdout
    ended = invoke("build", PYTHONPATH=str(tmp_path))
    sentence = "Python packages are missing: docker, filelock, kubernetes, rich, tenacity, yaml."
    assert (ended.returncode, ended.stderr.splitlines()[0]) == (9, sentence)


@pytest.mark.promise("You need Linux, Python 3.11")
@pytest.mark.parametrize(
    ("words", "environment", "code", "told"),
    [
        ("buidl", {}, 1, "There is no task buidl.\n  Did you mean build?\n"),
        ("scale 5", {}, 1, "There is no task 5.\n  ./inv --help scale shows the options of scale, ./inv --list the tasks\n"),
        ("scale --replica=5", {}, 1, "There is no option --replica.\n  Did you mean --replicas?\n"),
        ("--replicas=5 scale", {}, 1, "There is no option --replicas.\n  It comes after a task: ./inv TASK --replicas\n"),
        ("scale --replicas", {}, 1, "The option --replicas needs a value.\n  ./inv --help scale shows the options of scale\n"),
        ("scale --replicas=-1", {}, 2, "--replicas must be a whole number from 0 to 100, not '-1'"),
        ("scale", {"INVOKE_APP_REPLICAS": "no"}, 2, "INVOKE_APP_REPLICAS must be a whole number"),
        ("setup --remove --stop", {}, 2, "--remove and --stop exclude each other"),
        ("build", {}, 3, "No container engine answers"),
        ("start", {}, 3, "No container engine answers"),
    ],
)
def test_what_is_mistyped_or_makes_no_sense_is_one_sentence_with_the_nearest_name_and_an_exit_code(
    words: str, environment: dict[str, str], code: int, told: str
) -> None:
    ended = invoke(*words.split(), **environment)
    assert ended.returncode == code
    assert ended.stderr.startswith(told)
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 2


@pytest.mark.promise("`docker build -t simple-server:v1 .`", "`kubectl scale deployments/simple-server --replicas=3`")
def test_dry_shows_commands_even_without_an_engine_and_twice_those_of_a_task_that_is_typed_twice() -> None:
    shown = invoke("--dry", "build", "build", "deploy", "expose", "scale", "test", "--lint", "docs", "--port=8123")
    assert shown.returncode == 0
    assert len(re.findall("docker build --tag simple-server:[0-9a-f]{12} --tag simple-server:v1 --build-arg ", shown.stdout)) == 2
    assert "kubectl label --local -f k8s/deployment.yaml " in shown.stdout
    assert "kubectl scale deployments/simple-server --replicas=3" in shown.stdout
    assert "\ntox run -e lint\ntox run -e type\nexport " in shown.stdout
    served = "python3 -m http.server --bind=127.0.0.1 --directory=reports/site 8123"
    assert shown.stdout.endswith(f"\ntox run -e docs\n{served}\n")


@pytest.mark.parametrize(
    ("loaded", "absent"),
    [
        ("kubetasks", ("kubetasks.", "invoke", "docker")),
        ("tasks", ("kubetasks.pipeline.", "kubetasks.providers", "kubetasks.setup", "kubetasks.engine", "kubetasks.kube")),
        ("kubetasks.pipeline.app, kubetasks.setup.install", ("nodeimages", "ci.matrix", "docker", "kubernetes")),
    ],
)
def test_nothing_is_loaded_before_it_is_needed(loaded: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {loaded}; print([name for name in sys.modules if name.startswith({absent})])"
    shown = python("-c", code)
    assert shown.stdout == "[]\n", shown.stderr


SHOP = """\
from kubetasks import Project, namespace
ns = namespace(Project.of("shop", __file__, {}))
"""
INSTALLED = "import sys; from kubetasks.__main__ import main; sys.argv[0] = 'kubetasks'; main()"


@pytest.mark.promise("Settings are environment variables")
@pytest.mark.parametrize(
    ("variable", "file", "tasks"),
    [
        ("INVOKE_APP_REPLICAS", "app: {replicas: 2}", SHOP.format('prefix="", command="./inv"')),
        ("INVOKE_KUBETASKS_APP_REPLICAS", "kubetasks: {app: {replicas: 2}}", SHOP.format("")),
        ("INVOKE_KUBETASKS_APP_REPLICAS", "kubetasks: {name: shop, app: {replicas: 2}}", ""),
    ],
    ids=["no prefix", "a prefix", "a table"],
)
@pytest.mark.parametrize(("typed", "exported", "pods"), [("5", "4", 5), ("5", "", 5), ("", "4", 4), ("", "", 2)])
def test_an_option_overrides_a_variable_and_that_the_projects_file(
    tmp_path: Path, variable: str, file: str, tasks: str, typed: str, exported: str, pods: int
) -> None:
    (tmp_path / "invoke.yaml").write_text(file)
    if tasks:
        (tmp_path / "tasks.py").write_text(tasks)
    words = ["--dry", "scale", *([f"--replicas={typed}"] if typed else [])]
    shown = python("-c", INSTALLED, *words, folder=tmp_path, environment={variable: exported} if exported else {})
    assert f"\nkubectl scale deployments/shop --replicas={pods}\n" in shown.stdout, shown.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cluster: [name]\n", "invoke.yaml has a value where a section is expected"),
        ("- cluster\n", "{file} must hold sections, such as `cluster:`."),
    ],
)
def test_a_configuration_of_the_wrong_shape_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (file := tmp_path / "a.yaml").write_text(text)
    ended = invoke("--config", str(file), "build")
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False)
    assert ended.stderr.startswith(sentence.format(file=file))
