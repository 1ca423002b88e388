"""Rules that the GitHub Actions workflows follow, and their own commands, with stand-ins for the programs that they call."""

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
    """Run a step's script as GitHub does, in `folder`, with a shell script for each program."""
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
    [("success,success", True), ("success,skipped", True), ("failure,success", False), ("success,cancelled", False)],
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


def test_nothing_is_published_before_the_thorough_tier_has_passed_on_that_commit() -> None:
    jobs = WORKFLOWS["release"]["jobs"]
    for writing in ("draft", "publish"):
        assert {"build", "quick", "thorough"} <= needed("release", writing)
        assert "always()" not in jobs[writing].get("if", ""), "which would run it all the same"
    assert jobs["thorough"]["with"] == {**WORKFLOWS["main"]["jobs"]["cluster"]["with"], "provider": "${{ matrix.provider }}"}
    assert jobs["thorough"]["strategy"]["matrix"]["provider"] == ["kind", "minikube"]
    publishing = [(name, job) for name, job in JOBS for step in steps(name, job) if "pypi-publish" in step.get("uses", "")]
    assert publishing == [("release", "publish")]


@pytest.mark.parametrize(("version", "more"), [("1.0.0", ""), ("1.0.0rc1", " --prerelease"), ("1.0.0rc1.dev7", " --prerelease")])
def test_a_draft_has_the_wheel_its_proof_checksums_and_sbom(tmp_path: Path, version: str, more: str) -> None:
    *_, step = steps("release", "draft")
    (tmp_path / "dist").mkdir()
    wheel = f"kubetasks-{version}-py3-none-any.whl"
    (tmp_path / "dist" / wheel).touch()
    (built := tmp_path / "attestation.json").write_text("{}")
    told = run(tmp_path, step["run"], {"gh": 'echo "$*"'}, BUILT=str(built), GITHUB_SHA="abc", GITHUB_REPOSITORY="a/b")
    given = f"--repo=a/b --target=abc --title={version} --draft --notes-file=reports/release/notes.md"
    files = f"dist/{wheel} dist/{wheel}.intoto.jsonl reports/release/sbom.cdx.json reports/release/SHA256SUMS"
    assert told.stdout == f"release create v{version}{more} {given} {files}\n", told.stderr


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("2.0.0", "CHANGELOG.md has no release 2.0.0\n"),
        ("1.1.0", "CHANGELOG.md does not name the day of 1.1.0\n"),
        ("1.0.0", ""),
        ("1.1.0.dev7", ""),
    ],
)
def test_a_release_has_its_part_of_the_changelog_and_checksums(tmp_path: Path, version: str, told: str) -> None:
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## 1.1.0, not released yet\n\nnew\n\n## 1.0.0, 2026-12-02\n\nold\n")
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / f"kubetasks-{version}-py3-none-any.whl").write_text("wheel")
    programs = {"uv": 'mkdir -p "reports/release/installed"', "cyclonedx-py": "echo {} >reports/release/sbom.cdx.json"}
    ended = run(tmp_path, f"sh {PROJECT.folder}/.ci/release", programs)
    assert (ended.stderr, ended.returncode) == (told, 2 if told else 0)
    if not told:
        release = tmp_path / "reports" / "release"
        assert release.joinpath("notes.md").read_text().split() == [
            "##",
            *(["1.0.0,", "2026-12-02", "old"] if version == "1.0.0" else ["1.1.0,", "not", "released", "yet", "new"]),
        ]
        sums = release.joinpath("SHA256SUMS").read_text().splitlines()
        assert [line.split()[1] for line in sums] == [f"kubetasks-{version}-py3-none-any.whl", "sbom.cdx.json"]
        assert {path.name for path in release.iterdir()} == {"notes.md", "sbom.cdx.json", "SHA256SUMS"}


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
