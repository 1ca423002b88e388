"""Rules that the workflows of GitHub Actions keep, and their own commands, with stand-ins for the programs that they call."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks import PROJECT
from tests.unit.ci.test_action import ACTION, BASH, KUBERNETES, PROVIDER

FILES = {path.stem: path for path in (PROJECT.folder / ".github" / "workflows").glob("*.yml")}
WORKFLOWS: dict[str, Any] = {name: yaml.safe_load(path.read_text()) for name, path in FILES.items()}
CALLED = [name for name, workflow in WORKFLOWS.items() if "workflow_call" in workflow[True]]  # YAML 1.1 reads `on` as True
JOBS = [(name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"]]


def steps(name: str, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = WORKFLOWS[name]["jobs"][job].get("steps", [])
    return found


def needed(name: str, job: str) -> set[str]:
    needs = WORKFLOWS[name]["jobs"][job].get("needs", [])
    return {needs} if isinstance(needs, str) else set(needs)


def run(folder: Path, script: str, programs: dict[str, str], **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run the script of a step as GitHub does, in `folder`, with a shell script for each program."""
    (bin_folder := folder / "bin").mkdir()
    for name, text in programs.items():
        (bin_folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin_folder / name).chmod(0o755)
    given = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(folder), **variables}
    return subprocess.run([*BASH, script], cwd=folder, env=given, capture_output=True, text=True)


@pytest.mark.parametrize(("name", "job"), [(name, job) for name, job in JOBS if name in CALLED])
def test_a_job_that_fails_times_out_or_is_cancelled_leaves_its_files_under_a_name_of_its_own(name: str, job: str) -> None:
    (kept,) = [step for step in steps(name, job) if "upload-artifact" in step.get("uses", "")]
    assert kept["if"] == "failure() || cancelled()"
    varied = {f"matrix.{one}" for one in WORKFLOWS[name]["jobs"][job].get("strategy", {}).get("matrix", {})}
    if name == "cluster":
        varied = {f"inputs.{one}" for one in WORKFLOWS[name][True]["workflow_call"]["inputs"]}
    assert varied <= set(re.findall(r"\$\{\{ (.+?) \}\}", kept["with"]["name"]))


@pytest.mark.parametrize(("name", "job"), JOBS)
def test_no_job_restores_what_another_machine_has_noted_or_is_not_checked_again(name: str, job: str) -> None:
    paths = {
        path for step in steps(name, job) if "actions/cache@" in step.get("uses", "") for path in step["with"]["path"].split()
    }
    assert paths <= {"~/.cache/uv", "~/.cache/pip", "~/.cache/go-build", "~/go/pkg/mod"}


@pytest.mark.parametrize(("name", "last"), [("pull-request", "ok"), ("weekly", "tell")])
def test_one_job_hears_of_every_other(name: str, last: str) -> None:
    assert needed(name, last) == set(WORKFLOWS[name]["jobs"]) - {last}
    assert WORKFLOWS[name]["jobs"][last]["if"].startswith("always()"), "skipped, it would count as passed"


@pytest.mark.parametrize(
    ("results", "passes"),
    [
        ("success,success,success,success", True),
        ("success,success,success,skipped", True),
        ("success,failure,success,success", False),
        ("success,success,cancelled,success", False),
    ],
)
def test_ok_fails_if_one_has_failed_or_was_cancelled(tmp_path: Path, results: str, passes: bool) -> None:
    (step,) = steps("pull-request", "ok")
    assert step["env"] == {"RESULTS": "${{ join(needs.*.result) }}"}
    assert (run(tmp_path, step["run"], {}, RESULTS=results).returncode == 0) == passes


@pytest.mark.parametrize(("found", "words"), [("", "issue create --title The weekly tests fail"), ("7", "issue comment 7")])
def test_the_week_that_fails_opens_one_issue_or_adds_to_it(tmp_path: Path, found: str, words: str) -> None:
    (step,) = steps("weekly", "tell")
    gh = f"""case "$*" in *list*) echo "{found}" ;; *) echo "$*" ;; esac"""
    where = {"GITHUB_SERVER_URL": "https://example.com", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "5"}
    told = run(tmp_path, step["run"], {"gh": gh}, TITLE=step["env"]["TITLE"], **where)
    assert told.stdout == f"{words} --body https://example.com/a/b/actions/runs/5\n", told.stderr


@pytest.mark.parametrize("ours", [True, False], ids=["cluster", "kubernetes"])
def test_the_logs_of_nodes_that_are_still_there_are_kept_and_another_container_does_no_harm(tmp_path: Path, ours: bool) -> None:
    docker = """\
case "$1 $2" in
    "ps --all") echo node; echo registry ;;
    "exec node") echo journal ;;
    "cp node:/var/log/pods") echo pods ;;
    *) echo "$* is not possible" >&2; exit 1 ;;
esac"""
    (tmp_path / ".cache" / "kubetasks" / "logs").mkdir(parents=True)
    (tmp_path / ".cache" / "kubetasks" / "logs" / "diagnosis-shop.log").write_text("why")
    (screen := tmp_path / "screen").write_text("1 failed\n")
    (step,) = [step for step in steps("kubernetes", "test") if "docker ps" in step.get("run", "")]
    script = f"{PROJECT.folder}/.ci/logs reports" if ours else step["run"]
    page = tmp_path / "page.md"
    ended = run(tmp_path, script, {"docker": docker}, RUNNER_TEMP=str(screen.parent), GITHUB_STEP_SUMMARY=str(page))
    assert ended.returncode == 0, ended.stderr
    reports = tmp_path / "reports"
    files = {name: (reports / name).read_text().strip() for name in ("node.log", "node-pods.tar", "logs/diagnosis-shop.log")}
    assert list(files.values()) == ["journal", "pods", "why"]
    assert ours or page.read_text() == "````\n1 failed\n````\n"


def test_the_workflow_for_other_repositories_gives_pytest_what_setup_was_given() -> None:
    job = WORKFLOWS["kubernetes"]["jobs"]["test"]
    assert job["env"] == {KUBERNETES: "${{ matrix.kubernetes }}", PROVIDER: "${{ inputs.provider }}"}
    inputs = set(WORKFLOWS["kubernetes"][True]["workflow_call"]["inputs"])
    assert {"provider", "python", "runner", "pytest-args"} <= inputs
    assert set(ACTION["inputs"]) == inputs - {"runner"}, "which a job has, not a step"
