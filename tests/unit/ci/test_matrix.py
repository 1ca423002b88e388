"""What `test` plans to run, and what it says afterwards; and that every place names the same versions."""

import configparser
import platform
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from ci import browsers, junit, matrix, pythons
from ci.matrix import Job, Result, Tier
from ci.pythons import PYTHONS
from hostengine import packages
from kubetasks.engine import client
from kubetasks.engine.client import AbsentError
from kubetasks.errors import ProgramError, SetupError
from kubetasks.project import settings
from kubetasks.project.versions import DEFAULT_KUBERNETES, KUBERNETES, PYTHON_IMAGE
from kubetasks.setup import inventory, requirements
from kubetasks.setup.requirements import Requirement
from kubetasks.terminal import shell
from kubetasks.terminal.report import Report
from nodeimages import names
from tasks import PROJECT
from tests.unit.configured import configured

JUNIT = """<testsuites><testsuite>
<testcase classname="a" name="good" time="1.5"><properties><property name="traffic" value="pod 3"/></properties></testcase>
<testcase classname="a" name="bad" time="12"><failure message="m">it broke | here</failure></testcase>
<testcase classname="a" name="bad"><error message="m">and again</error></testcase>
<testcase classname="a" name="left"><skipped message="why"/></testcase>
</testsuite></testsuites>"""


DEFAULT_PYTHON = next(minor for minor, python in PYTHONS.items() if python.pulled == PYTHON_IMAGE)
HERE = ".".join(platform.python_version_tuple()[:2])


def titles(tier: Tier, **asked: Any) -> list[str]:
    return [job.title for job in matrix.jobs(tier, DEFAULT_KUBERNETES, **asked)]


@pytest.mark.promise("`./inv setup test` checks the main statements")
def test_each_tier_tests_what_the_smaller_one_does_and_more() -> None:
    oldest, *_, newest = PYTHONS
    default = f"Kubernetes {DEFAULT_KUBERNETES}"
    assert titles("core") == ["lint", "type", f"Python {HERE}", default]
    checks = ["lint", "type", "lint-ci", "docs", "lowest"]
    assert titles("thorough") == [*checks, f"Python {oldest}", f"Python {newest}", default, "minikube"]
    versions = [*(f"Python {minor}" for minor in PYTHONS), *(f"Kubernetes {minor}" for minor in KUBERNETES)]
    assert titles("exhaustive") == [
        *checks,
        *versions,
        "minikube",
        "modern engine",
        "newest engine",
        "cgroup v2",
        "rootless engine",
    ]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"lint": True}, ["lint", "type"]),
        ({"unit": True}, [f"Python {HERE}"]),
        ({"python": "3.14"}, ["Python 3.14"]),
        ({"unit": True, "python": "3.14"}, ["Python 3.14"]),
        ({"kubernetes": "1.34"}, ["Kubernetes 1.34"]),
        ({"python": "3.11", "kubernetes": "1.37"}, ["Python 3.11", "Kubernetes 1.37"]),
        ({"kubernetes": "1.37", "browser": True}, ["Kubernetes 1.37", "page"]),
        ({"minikube": True}, ["minikube"]),
        ({"engine": True}, ["modern engine", "newest engine"]),
    ],
)
def test_asked_for_a_part_it_tests_that_part(asked: dict[str, Any], expected: list[str]) -> None:
    assert titles("core", **asked) == expected


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What tox is called with, where the node image is there; nothing runs."""
    arguments: list[str] = []

    def show(argv: list[str], **_more: object) -> int:
        arguments.extend(argv)
        return 0

    monkeypatch.setattr(matrix, "REPORTS", tmp_path)
    monkeypatch.setattr(matrix, "_set_up", lambda *_: "a node image")
    monkeypatch.setattr(shell, "show", show)
    return arguments


@pytest.mark.promise("`./inv setup test` checks the main statements")
@pytest.mark.parametrize(
    ("tier", "asked", "paths"),
    [
        ("core", {"kubernetes": "1.36"}, ["tests/core"]),
        ("thorough", {"kubernetes": "1.36"}, ["tests/core", "tests/thorough"]),
        ("exhaustive", {"kubernetes": "1.36"}, ["tests/core", "tests/thorough", "--exhaustive"]),
        ("core", {"minikube": True}, ["tests/core"]),
        ("thorough", {"minikube": True}, ["tests/core"]),
        ("exhaustive", {"minikube": True}, ["tests/core", "tests/thorough", "--exhaustive"]),
        ("core", {"browser": True}, ["tests/core/test_page.py"]),
        ("thorough", {"browser": True}, ["tests/core/test_page.py", "tests/thorough/page"]),
    ],
)
def test_the_tier_decides_which_folders_run(
    monkeypatch: pytest.MonkeyPatch, given: list[str], tier: Tier, asked: dict[str, Any], paths: list[str]
) -> None:
    monkeypatch.setattr(browsers, "ensure", lambda *_: "Chromium 1")
    monkeypatch.setattr(browsers, "find", lambda: "/usr/bin/chromium")
    (result,) = run(matrix.jobs(tier, DEFAULT_KUBERNETES, **asked))
    assert given[given.index("--") + 1 :] == [f"--junitxml={result.job.report}", *paths]
    assert all((PROJECT.folder / path).exists() for path in paths if not path.startswith("--"))


@pytest.mark.parametrize(("install", "possible"), [(True, False), (False, True)])
def test_where_no_browser_may_be_installed_the_command_is_named(
    monkeypatch: pytest.MonkeyPatch, install: bool, possible: bool
) -> None:
    monkeypatch.setattr(packages, "possible", lambda: possible)
    monkeypatch.setattr(packages, "install", lambda *_: pytest.fail("nothing may be installed"))
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(SetupError, match="need Chromium") as told:
        browsers.ensure(configured(), Report(), install)
    assert told.value.hint == "sudo apt-get install chromium"


def test_core_installs_nothing_and_its_table_names_what_is_missing(monkeypatch: pytest.MonkeyPatch, given: list[str]) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(packages, "possible", lambda: True)
    monkeypatch.setattr(packages, "install", lambda *_: pytest.fail("core installs nothing"))
    results = run([job for job in matrix.jobs("core", DEFAULT_KUBERNETES) if job.kind == "kubernetes"])
    assert [(one.job.title, one.outcome) for one in results] == [
        (f"Kubernetes {DEFAULT_KUBERNETES}", "passed"),
        ("page", "not tested"),
    ]
    assert results[1].where == "The tests of the page need Chromium. sudo apt-get install chromium"
    assert [f"--ignore={path}" for path in matrix.PAGE] == given[-len(matrix.PAGE) :]
    assert all((PROJECT.folder / path).exists() for path in matrix.PAGE)


def test_where_the_page_is_requested_too_it_is_tested_once() -> None:
    kubernetes, page = matrix.jobs("core", DEFAULT_KUBERNETES, kubernetes="1.37", browser=True)
    assert (kubernetes.page, page.required) == (False, True)


def test_a_python_that_core_lacks_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "connect", lambda: None)
    with pytest.raises(SetupError, match=r"has no Python 3\.12") as told:
        pythons.image(configured(), Report(), "3.12", may_install=False)
    assert told.value.hint.startswith("./inv test --python=3.12")


def test_a_junit_file_is_counted_and_its_notes_and_failures_are_read(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(JUNIT)
    found = junit.read(tmp_path / "one.xml")
    assert found
    assert str(found) == "1 passed, 1 failed, 1 skipped"
    assert found.failures == (("a::bad", "it broke | here"), ("a::bad", "and again"))
    assert found.notes == (("traffic", "pod 3"),)
    results = [Result(Job("kubernetes", "1.36"), "failed", "a node image", 1.0, found)]
    assert matrix.slowest(results)[:2] == [("a::bad", "12 s", "Kubernetes 1.36"), ("a::good", "1.5 s", "Kubernetes 1.36")]
    assert junit.read(tmp_path / "none.xml") is None


def run(jobs: list[Job]) -> list[Result]:
    return list(matrix.run(configured(), Report(), jobs))


def test_what_cannot_be_had_is_not_claimed_but_told_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(matrix, "REPORTS", tmp_path)
    monkeypatch.setattr(matrix, "find_python", lambda _minor: "")

    def nothing(_settings: object, _report: object, minor: str, _may_install: bool) -> str:
        raise SetupError(f"Nobody has Python {minor}.")

    monkeypatch.setattr(pythons, "image", nothing)
    here = [Job("lint", "lint"), Job("python", "3.12"), Job("lint", "type")]
    monkeypatch.setattr(shell, "show", lambda argv, **_more: int(argv[-1] == "type"))
    results = run(here)
    assert [(one.outcome, one.where) for one in results] == [
        ("passed", "this machine"),
        ("not tested", "Nobody has Python 3.12."),
        ("failed", "this machine"),
    ]
    assert [str(junit.read(tmp_path / name)) for name in ("lint.xml", "type.xml")] == ["1 passed", "0 passed, 1 failed"]


@pytest.mark.promise("If no engine can run, `./inv test`")
def test_without_an_engine_what_needs_none_is_tested_and_nothing_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(matrix, "REPORTS", tmp_path)
    monkeypatch.setattr(matrix, "find_python", lambda minor: "/usr/bin/python" if minor == "3.11" else "")
    monkeypatch.setattr(shell, "show", lambda *_words, **_more: 0)
    monkeypatch.setattr(browsers, "ensure", lambda *_: pytest.fail("a browser would be of no use"))

    def none(*_: object, **_more: object) -> NoReturn:
        raise AbsentError("No container engine answers.")

    monkeypatch.setattr(client, "connect", none)
    results = run(matrix.jobs("exhaustive", DEFAULT_KUBERNETES))
    tested = [one.job.title for one in results if one.outcome == "passed"]
    assert tested == ["lint", "type", "lint-ci", "docs", "lowest", "Python 3.11"]
    reasons = {one.job.title: one.where for one in results if one.outcome == "not tested"}
    assert reasons["Python 3.12"] == "No container engine answers."
    assert re.fullmatch("Missing: engine, .*base image. ./inv setup", reasons[f"Kubernetes {DEFAULT_KUBERNETES}"])
    assert re.fullmatch("Missing: engine, .* INVOKE_CLUSTER_KUBERNETES=1.34 ./inv setup", reasons["Kubernetes 1.34"])
    assert re.fullmatch("Missing: engine, .* INVOKE_CLUSTER_PROVIDER=minikube ./inv setup", reasons["minikube"])


def test_the_last_runs_file_does_not_count_for_a_suite_that_could_not_begin(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(matrix, "REPORTS", tmp_path)
    monkeypatch.setattr(matrix, "find_python", lambda _minor: "/usr/bin/python")
    monkeypatch.setattr(shell, "show", lambda *_words, **_more: 1)
    (tmp_path / "py311.xml").write_text(JUNIT)
    (one,) = run([Job("python", "3.11")])
    assert (one.outcome, one.tests) == ("failed", None)


def test_the_file_of_a_suite_that_was_killed_does_not_cost_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def killed(*_words: object, **_more: object) -> int:
        (tmp_path / "py311.xml").write_text(JUNIT[: len(JUNIT) // 2])
        return 137

    monkeypatch.setattr(matrix, "REPORTS", tmp_path)
    monkeypatch.setattr(matrix, "find_python", lambda _minor: "/usr/bin/python")
    monkeypatch.setattr(shell, "show", killed)
    (one,) = run([Job("python", "3.11")])
    assert (one.outcome, one.tests) == ("failed", None)


@pytest.mark.parametrize("present", [True, False])
def test_another_provider_is_tested_where_it_was_set_up_and_elsewhere_the_table_says_how(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, present: bool
) -> None:
    asked: list[Requirement] = []
    given: dict[str, str] = {}

    def look(_settings: settings.Settings, needed: Sequence[Requirement]) -> list[inventory.Item]:
        asked.extend(needed)
        return [inventory.Item("engine", True, "Docker 1"), inventory.Item("node image", present, "simple-server-kicbase:1")]

    def show(argv: list[str], *, env: dict[str, str]) -> int:
        given.update(env)
        assert argv[-1] == "tests/core"
        return 0

    monkeypatch.setattr(matrix, "REPORTS", tmp_path)
    monkeypatch.setattr(inventory, "look", look)
    monkeypatch.setattr(shell, "show", show)
    (result,) = run(matrix.jobs("core", DEFAULT_KUBERNETES, minikube=True))
    (row,) = matrix.rows([result])
    assert asked == [requirements.MINIKUBE, requirements.MINIKUBE_NODE_IMAGE]
    if present:
        assert given == {"INVOKE_CLUSTER_PROVIDER": "minikube"}
        assert (row[:2], row[3]) == (("minikube", "passed"), f"simple-server-kicbase:1, Python {platform.python_version()}")
    else:
        assert given == {}
        assert row == (
            "minikube",
            "not tested",
            "",
            "Missing: node image. INVOKE_CLUSTER_PROVIDER=minikube ./inv setup",
        )


def test_a_python_that_the_machine_lacks_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacks(argv: list[str]) -> str:
        raise ProgramError(argv, 2, "No interpreter found")

    monkeypatch.setattr(shell, "run", lacks)
    assert matrix.find_python("3.13") == ""


def test_the_table_and_the_jobs_page_say_the_same_and_show_why_a_test_failed() -> None:
    tests = junit.Tests(1, 1, 0, (("a::bad", "it broke"),), (("traffic", "pod 3"),))
    results = [
        Result(Job("lint", "lint"), "passed", "this machine", 1.0),
        Result(Job("kubernetes", "1.36"), "failed", "kindest/node:v1", 61.0, tests),
        Result(Job("python", "3.12"), "not tested", "nobody has it"),
    ]
    assert matrix.rows(results) == [
        ("lint", "passed", "1.0 s", "this machine"),
        ("Kubernetes 1.36", "failed: 1 passed, 1 failed", "1 min 1 s", "kindest/node:v1"),
        ("Python 3.12", "not tested", "", "nobody has it"),
    ]
    page = matrix.summary(results)
    assert "| Kubernetes 1.36 | failed: 1 passed, 1 failed | 1 min 1 s | kindest/node:v1 |" in page
    for words in ("it broke", "pod 3", "nobody has it"):
        assert words in page


def tox() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(PROJECT.folder / "tox.ini")
    return parser


def workflow(name: str) -> Any:
    return yaml.safe_load((PROJECT.folder / ".github" / "workflows" / f"{name}.yml").read_text())


def newest(versions: dict[str, Any]) -> str:
    return list(versions)[-1]


def test_tox_has_an_environment_for_each_python_and_a_description_for_each_environment() -> None:
    parser = tox()
    listed = [name.strip() for name in parser["tox"]["env_list"].split(",")]
    assert [name for name in listed if name.startswith("py")] == [f"py{minor.replace('.', '')}" for minor in PYTHONS]
    assert all(parser[name].get("description") for name in parser.sections() if name.startswith("testenv"))


def called_with(workflow_name: str, job: str) -> dict[str, str]:
    """What a workflow calls cluster.yml with."""
    found: dict[str, str] = workflow(workflow_name)["jobs"][job]["with"]
    return found


def test_once_a_week_actions_run_everything_on_every_python_and_every_kubernetes() -> None:
    assert workflow("quick")["jobs"]["unit"]["strategy"]["matrix"]["python"] == list(PYTHONS)
    weekly = workflow("weekly")["jobs"]["cluster"]["strategy"]["matrix"]["include"]
    jobs = [(one["python"], one["kubernetes"]) for one in weekly]
    wanted = {(minor, newest(KUBERNETES)) for minor in PYTHONS} | {(DEFAULT_PYTHON, minor) for minor in KUBERNETES}
    assert (len(jobs), set(jobs)) == (len(wanted), wanted)
    assert called_with("weekly", "cluster")["tier"] == called_with("weekly", "minikube")["tier"] == "exhaustive"


def test_a_pull_request_runs_core_on_the_oldest_and_newest_kubernetes_and_thorough_on_the_default_one() -> None:
    core = workflow("pull-request")["jobs"]["core"]["strategy"]["matrix"]["kubernetes"]
    assert core == [next(iter(KUBERNETES)), newest(KUBERNETES)]
    assert "tier" not in called_with("pull-request", "core"), "which is core"
    for name, job in (("pull-request", "thorough"), ("main", "cluster")):
        assert called_with(name, job) == {"python": DEFAULT_PYTHON, "kubernetes": DEFAULT_KUBERNETES, "tier": "all"}


def test_the_pinned_releases_are_of_the_minors_that_name_them() -> None:
    for minor, version in KUBERNETES.items():
        assert re.fullmatch(rf"kindest/node:v{re.escape(minor)}\.\d+@sha256:[0-9a-f]{{64}}", version.pulled)
        assert version.built.startswith(f"{minor}.")
    for minor, python in PYTHONS.items():
        assert python.pulled.startswith(f"python:{minor}-slim")


@pytest.mark.parametrize("minor", KUBERNETES)
def test_each_kubernetes_is_built_from_a_module_that_locks_its_release(minor: str) -> None:
    release = KUBERNETES[minor].built
    text = (names.NODE_SOURCE / "go" / names.module_file(minor)).read_text()
    assert f"k8s.io/kubernetes v{release}" in text
    staged = set(re.findall(r"^\s+k8s\.io/[a-z-]+ => k8s\.io/[a-z-]+ v0\.(\S+)$", text, re.MULTILINE))
    assert staged == {release.removeprefix("1.")}
    assert (names.NODE_SOURCE / "go" / names.module_file(minor).replace(".mod", ".sum")).exists()


def test_the_documents_name_the_versions() -> None:
    page = (PROJECT.folder / "docs" / "testing.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| 1.")]
    assert len(rows) == len(KUBERNETES)
    for version, row in zip(KUBERNETES.values(), rows, strict=True):
        assert row.startswith(f"| {version.minor} | {version.pulled.split('@')[0]} | {version.built} |")
    assert ", ".join(PYTHONS) in page
    (row,) = [
        line for line in (PROJECT.folder / "docs" / "settings.md").read_text().splitlines() if "INVOKE_CLUSTER_KUBERNETES" in line
    ]
    assert f"`{DEFAULT_KUBERNETES}`" in row
    assert [minor for minor in KUBERNETES if minor not in row.rpartition("|")[0].rpartition("|")[2]] == []
