"""What `test` plans to run and reports afterwards; and whether every place names the same versions."""

import configparser
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci import browsers, junit, matrix, pythons
from ci.matrix import Job, Result, Tier
from ci.pythons import PYTHONS
from hostengine import packages
from kubetasks.engine import client
from kubetasks.engine.client import AbsentError
from kubetasks.errors import ProgramError
from kubetasks.project.versions import DEFAULT_KUBERNETES, KUBERNETES, PYTHON_IMAGE
from kubetasks.setup import inventory
from kubetasks.terminal import shell
from nodeimages import names
from tasks import PROJECT
from tests.unit.configured import configured, door
from tests.unit.failing import raising

JUNIT = """<testsuites><testsuite>
<testcase classname="a" name="good" time="1.5"><properties><property name="traffic" value="pod 3"/></properties></testcase>
<testcase classname="a" name="bad" time="12"><failure message="m">it broke | here</failure></testcase>
<testcase classname="a" name="bad"><error message="m">and again</error></testcase>
<testcase classname="a" name="left"><skipped message="why"/></testcase>
</testsuite></testsuites>"""
DEFAULT_PYTHON = next(minor for minor, python in PYTHONS.items() if python.pulled == PYTHON_IMAGE)
OLDEST, *_, NEWEST = KUBERNETES
HERE = ".".join(platform.python_version_tuple()[:2])
TOX = f"{sys.executable} -m tox run --skip-missing-interpreters=false"
ON_KIND, ON_MINIKUBE = (f"INVOKE_CLUSTER_PROVIDER={name} tox run -e integration -- " for name in ("kind", "minikube"))
ON_37 = f"INVOKE_CLUSTER_KUBERNETES=1.37 {ON_KIND}"
ON_AN_ENGINE = "tests/core tests/thorough/images tests/thorough/application/test_remove.py"


def titles(tier: Tier) -> list[str]:
    return [job.title for job in matrix.jobs(tier, DEFAULT_KUBERNETES)]


@pytest.mark.promise("`./inv setup test` checks the main statements")
def test_each_tier_tests_what_the_smaller_one_does_and_more() -> None:
    oldest, *_, newest = PYTHONS
    default = f"Kubernetes {DEFAULT_KUBERNETES}"
    assert titles("core") == ["lint", "type", f"Python {HERE}", default]
    checks = ["lint", "type", "lint-ci", "docs", "lowest"]
    assert titles("thorough") == [*checks, f"Python {oldest}", f"Python {newest}", default, "minikube"]
    versions = [*(f"Python {minor}" for minor in PYTHONS), *(f"Kubernetes {minor}" for minor in KUBERNETES)]
    engines = ["modern engine", "newest engine", "cgroup v2", "rootless engine"]
    assert titles("exhaustive") == [*checks, *versions, "minikube", *engines]


@pytest.mark.promise("`./inv setup test` checks the main statements")
@pytest.mark.parametrize(
    ("tier", "asked", "lines"),
    [
        ("core", {"lint": True}, ["tox run -e lint", "tox run -e type"]),
        ("core", {"unit": True}, [f"tox run -e py{HERE.replace('.', '')}"]),
        ("core", {"python": "3.14"}, ["tox run -e py314"]),
        ("core", {"unit": True, "python": "3.14"}, ["tox run -e py314"]),
        ("core", {"python": "3.11", "kubernetes": "1.37"}, ["tox run -e py311", f"{ON_37}tests/core"]),
        ("thorough", {"kubernetes": "1.37"}, [f"{ON_37}tests/core tests/thorough"]),
        ("exhaustive", {"kubernetes": "1.37"}, [f"{ON_37}tests/core tests/thorough --exhaustive"]),
        ("core", {"kubernetes": "1.37", "browser": True}, [f"{ON_37}tests/core", f"{ON_KIND}tests/core/test_page.py"]),
        ("thorough", {"browser": True}, [f"{ON_KIND}tests/core/test_page.py tests/thorough/page"]),
        ("core", {"minikube": True}, [f"{ON_MINIKUBE}tests/core"]),
        ("thorough", {"minikube": True}, [f"{ON_MINIKUBE}tests/core"]),
        ("exhaustive", {"minikube": True}, [f"{ON_MINIKUBE}tests/core tests/thorough --exhaustive"]),
        ("core", {"engine": True}, [f"{ON_KIND}{ON_AN_ENGINE}  # on {engine}" for engine in matrix.ENGINES.values()]),
    ],
)
def test_a_part_that_is_asked_for_is_tested_as_deep_as_the_tier_goes(tier: Tier, asked: dict[str, Any], lines: list[str]) -> None:
    assert [job.line for job in matrix.jobs(tier, DEFAULT_KUBERNETES, **asked)] == lines
    paths = [word for word in " ".join(lines).split() if word.startswith("tests/")]
    assert [path for path in paths if not (PROJECT.folder / path).exists()] == []


def run(jobs: list[Job]) -> list[Result]:
    return list(matrix.run(configured(), door(), jobs))


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The commands on a machine that has only Python 3.11: they are recorded instead of run, and type fails."""
    lines: list[str] = []

    def find_python(argv: list[str], **_more: object) -> str:
        if argv[-1] == "3.11":
            return "/usr/bin/python\n"
        raise ProgramError(argv, 2, "No interpreter found")

    def show(argv: list[str], *, env: dict[str, str]) -> int:
        lines.append(shell.line(argv, env))
        return int("type" in argv)

    monkeypatch.setattr(matrix, "REPORTS", tmp_path)
    monkeypatch.setattr(shell, "run", find_python)
    monkeypatch.setattr(shell, "show", show)
    return lines


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, given: list[str]) -> list[str]:
    """Like `given`, on a machine that also has what the clusters and the page need."""
    monkeypatch.setattr(inventory, "look", lambda *_: [inventory.Item("node image", True, "node:1")])
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(shell, "run", lambda _argv: "Chromium 1.2 built on Debian")
    return given


@pytest.mark.parametrize(
    ("asked", "browser"),
    [({"minikube": True}, ""), ({"kubernetes": "1.36"}, ", Chromium 1.2"), ({"browser": True}, ", Chromium 1.2")],
)
def test_that_line_is_run_with_a_junit_file_and_the_table_says_on_what(
    complete: list[str], asked: dict[str, Any], browser: str
) -> None:
    (result,) = run(matrix.jobs("core", DEFAULT_KUBERNETES, **asked))
    assert complete == [result.job.line.replace("tox run", TOX).replace(" -- ", f" -- --junitxml={result.job.report} ")]
    assert (result.outcome, result.where) == ("passed", f"node:1, Python {platform.python_version()}{browser}")


@pytest.mark.parametrize(
    ("tier", "possible", "asked", "tested"),
    [
        ("core", True, {"kubernetes": "1.36"}, ["Kubernetes 1.36"]),
        ("thorough", False, {"kubernetes": "1.36"}, ["Kubernetes 1.36"]),
        ("core", False, {"browser": True}, []),
    ],
)
def test_where_no_browser_may_be_installed_the_table_names_the_command(
    monkeypatch: pytest.MonkeyPatch, complete: list[str], tier: Tier, possible: bool, asked: dict[str, Any], tested: list[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(packages, "possible", lambda: possible)
    monkeypatch.setattr(packages, "install", lambda *_: pytest.fail("nothing may be installed"))
    *others, page = run(matrix.jobs(tier, DEFAULT_KUBERNETES, **asked))
    assert [one.job.title for one in others if one.outcome == "passed"] == tested
    assert (page.job.title, page.outcome) == ("page", "not tested")
    assert page.where == "The tests of the page need Chromium. sudo apt-get install chromium"
    left_out = [word for word in " ".join(complete).split() if word.startswith("--ignore=")]
    assert left_out == [f"--ignore={path}" for path in matrix.PAGE if tested]


@pytest.mark.usefixtures("given")
def test_a_check_without_a_junit_file_gets_one(tmp_path: Path) -> None:
    results = run([Job("lint", "lint"), Job("lint", "type")])
    assert [(one.outcome, one.where) for one in results] == [("passed", "this machine"), ("failed", "this machine")]
    assert [str(junit.read(tmp_path / name)) for name in ("lint.xml", "type.xml")] == ["1 passed", "0 passed, 1 failed"]


@pytest.mark.parametrize("here", ["/usr/bin/python3.11", ""])
def test_the_oldest_packages_are_tested_on_the_oldest_python_in_a_container_if_it_is_not_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: list[str], here: str
) -> None:
    oldest = next(iter(PYTHONS))
    monkeypatch.setattr(matrix, "find_python", {oldest: here}.__getitem__)
    monkeypatch.setattr(pythons, "image", lambda *words: f"python:{words[2]}@sha256:0")
    (result,) = matrix.run(configured(cache=tmp_path), door(), [Job("lint", matrix.LOWEST, "thorough")])
    assert (result.outcome, result.where) == ("passed", here or f"python:{oldest}")
    assert given[0].endswith(f"python:{oldest}@sha256:0 sh -euc {shlex.quote(matrix.IN_CONTAINER)} sh lowest") == (not here)


@pytest.mark.usefixtures("given")
def test_without_an_engine_what_needs_none_is_tested_and_nothing_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "ensure", lambda *_: pytest.fail("a browser would be of no use"))
    monkeypatch.setattr(client, "connect", raising(AbsentError("No container engine answers.")))
    results = run(matrix.jobs("exhaustive", DEFAULT_KUBERNETES))
    tested = [(one.job.title, one.outcome) for one in results if one.outcome != "not tested"]
    passed = [(title, "passed") for title in ("lint-ci", "docs", "lowest", "Python 3.11")]
    assert tested == [("lint", "passed"), ("type", "failed"), *passed]
    reasons = {one.job.title: one.where for one in results if one.outcome == "not tested"}
    assert reasons["Python 3.12"] == "No container engine answers."
    assert re.fullmatch("Missing: engine, .*base image. ./inv setup", reasons[f"Kubernetes {DEFAULT_KUBERNETES}"])
    assert re.fullmatch("Missing: engine, .* INVOKE_CLUSTER_KUBERNETES=1.34 ./inv setup", reasons["Kubernetes 1.34"])
    assert re.fullmatch("Missing: engine, .* INVOKE_CLUSTER_PROVIDER=minikube ./inv setup", reasons["minikube"])


@pytest.mark.usefixtures("given")
@pytest.mark.parametrize("written", ["", JUNIT[: len(JUNIT) // 2]], ids=["could not begin", "was killed"])
def test_a_suite_that_could_not_begin_or_was_killed_has_failed_and_no_file_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, written: str
) -> None:
    report = tmp_path / "py311.xml"
    report.write_text(JUNIT)  # from an earlier run

    def end(*_words: object, **_more: object) -> int:
        if written:
            report.write_text(written)
        return 1

    monkeypatch.setattr(shell, "show", end)
    (one,) = run([Job("python", "3.11")])
    assert (one.outcome, one.tests) == ("failed", None)


def test_the_table_and_the_jobs_page_count_the_tests_and_the_page_shows_why_one_failed(tmp_path: Path) -> None:
    (tmp_path / "one.xml").write_text(JUNIT)
    results = [
        Result(Job("lint", "lint"), "passed", "this machine", 1.0),
        Result(Job("kubernetes", "1.36"), "failed", "kindest/node:v1", 61.0, junit.read(tmp_path / "one.xml")),
        Result(Job("python", "3.12"), "not tested", "nobody has it"),
    ]
    counted = "failed: 1 passed, 1 failed, 1 skipped"
    assert matrix.rows(results) == [
        ("lint", "passed", "1.0 s", "this machine"),
        ("Kubernetes 1.36", counted, "1 min 1 s", "kindest/node:v1"),
        ("Python 3.12", "not tested", "", "nobody has it"),
    ]
    assert matrix.slowest(results)[:2] == [("a::bad", "12 s", "Kubernetes 1.36"), ("a::good", "1.5 s", "Kubernetes 1.36")]
    page = matrix.summary(results)
    assert f"| Kubernetes 1.36 | {counted} | 1 min 1 s | kindest/node:v1 |" in page
    for words in ("1.36: a::bad", "it broke | here", "and again", "1.36: traffic", "pod 3", "nobody has it"):
        assert words in page


def workflow(name: str) -> Any:
    return yaml.safe_load((PROJECT.folder / ".github" / "workflows" / f"{name}.yml").read_text())["jobs"]


def test_tox_has_an_environment_for_each_python_and_a_description_for_each_environment() -> None:
    parser = configparser.ConfigParser()
    parser.read(PROJECT.folder / "tox.ini")
    listed = [name.strip() for name in parser["tox"]["env_list"].split(",")]
    assert [name for name in listed if name.startswith("py")] == [f"py{minor.replace('.', '')}" for minor in PYTHONS]
    assert all(parser[name].get("description") for name in parser.sections() if name.startswith("testenv"))


def test_the_oldest_packages_have_the_oldest_python_in_tox_and_in_actions() -> None:
    oldest = next(iter(PYTHONS))
    assert f"[testenv:lowest]\nbase_python = py{oldest.replace('.', '')}\n" in (PROJECT.folder / "tox.ini").read_text()
    _, python, *_ = workflow("quick")["lint"]["steps"]
    assert python["with"]["python-version"].split() == [oldest, DEFAULT_PYTHON]


def test_once_a_week_actions_run_everything_on_every_python_and_every_kubernetes() -> None:
    assert workflow("quick")["unit"]["strategy"]["matrix"]["python"] == list(PYTHONS)
    weekly = workflow("weekly")
    jobs = [(one["python"], one["kubernetes"]) for one in weekly["cluster"]["strategy"]["matrix"]["include"]]
    wanted = {(minor, NEWEST) for minor in PYTHONS} | {(DEFAULT_PYTHON, minor) for minor in KUBERNETES}
    assert (len(jobs), set(jobs)) == (len(wanted), wanted)
    assert weekly["cluster"]["with"]["tier"] == weekly["minikube"]["with"]["tier"] == "exhaustive"


@pytest.mark.parametrize(("arch", "page"), [("X64", ["--browser"]), ("ARM64", [])])
def test_the_page_is_requested_where_githubs_image_has_a_chromium(tmp_path: Path, arch: str, page: list[str]) -> None:
    (step,) = [one for one in workflow("cluster")["cluster"]["steps"] if "--kubernetes" in one.get("run", "")]
    chosen = re.fullmatch(r"\$\{\{ runner\.arch == '(\w+)' && '(\S+)' \|\| '' \}\}", step["env"]["BROWSER"])
    assert chosen
    (inv := tmp_path / "inv").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    inv.chmod(0o755)
    environment = {"INVOKE_CLUSTER_KUBERNETES": NEWEST, "TIER": "--all", "BROWSER": chosen[2] if chosen[1] == arch else ""}
    typed = subprocess.check_output(["bash", "-ec", step["run"]], cwd=tmp_path, env=environment, text=True)
    assert typed.split() == ["test", f"--kubernetes={NEWEST}", *page, "--all"]


def test_a_pull_request_runs_core_on_the_oldest_and_newest_kubernetes_and_thorough_on_the_default_one() -> None:
    request, main = workflow("pull-request"), workflow("main")
    assert request["core"]["strategy"]["matrix"]["kubernetes"] == [OLDEST, NEWEST]
    assert "tier" not in request["core"]["with"], "which is core"
    thorough = {"python": DEFAULT_PYTHON, "kubernetes": DEFAULT_KUBERNETES, "tier": "all"}
    assert request["thorough"]["with"] == main["cluster"]["with"] == thorough


@pytest.mark.parametrize("minor", KUBERNETES)
def test_each_kubernetes_is_pinned_and_built_from_a_module_that_locks_its_release(minor: str) -> None:
    version, module = KUBERNETES[minor], names.NODE_SOURCE / "go" / names.module_file(minor)
    assert re.fullmatch(rf"kindest/node:v{re.escape(minor)}\.\d+@sha256:[0-9a-f]{{64}}", version.pulled)
    assert version.built.startswith(f"{minor}.")
    text = module.read_text()
    assert f"k8s.io/kubernetes v{version.built}" in text
    staged = set(re.findall(r"^\s+k8s\.io/[a-z-]+ => k8s\.io/[a-z-]+ v0\.(\S+)$", text, re.MULTILINE))
    assert staged == {version.built.removeprefix("1.")}
    assert module.with_suffix(".sum").exists()


def test_the_documents_name_the_versions() -> None:
    testing, settings = ((PROJECT.folder / "docs" / f"{page}.md").read_text() for page in ("testing", "use"))
    rows = [line.strip("| ").split(" | ") for line in testing.splitlines() if line.startswith("| 1.")]
    assert rows == [[minor, version.pulled.split("@")[0], version.built] for minor, version in KUBERNETES.items()]
    assert ", ".join(PYTHONS) in testing
    (row,) = [line for line in settings.splitlines() if line.startswith("| `INVOKE_CLUSTER_KUBERNETES`")]
    assert f"`{DEFAULT_KUBERNETES}`" in row
    meaning = row.strip("| ").split(" | ")[-1]
    assert [minor for minor in KUBERNETES if minor not in meaning] == []
