"""`test` as CI calls it: its exit code, and the job's summary page. Only tox and the engine are stand-ins."""

from pathlib import Path

import pytest

from tests.unit.tasks.test_command_line import python

# Keep the reports of the run that this test is part of; its clone may also be mounted read-only.
PROGRAM = """\
import sys
from pathlib import Path
from ci import matrix
from kubetasks.__main__ import main

matrix.REPORTS = Path(sys.argv.pop(1))
main()
"""
TOX = """\
import os, sys
sys.exit(3 if sys.argv[sys.argv.index("-e") + 1] in os.environ["FAILING"].split() else 0)
"""
HEAD = ["| part | result | time | where |", "|---|---|---|---|"]
FAILED = "Failed: {}.\n  The reasons are above, with the command for one test; more in reports/\n"
UNTESTED = "Kubernetes 1.36 was requested and not tested: Missing: engine, "
CLUSTER = {"Kubernetes 1.36": "not tested"}


@pytest.mark.parametrize(
    ("words", "failing", "code", "told", "parts"),
    [
        ("--lint", "", 0, "", {"lint": "passed", "type": "passed"}),
        ("--lint", "type", 1, FAILED.format("type"), {"lint": "passed", "type": "failed"}),
        ("--kubernetes=1.36", "", 9, UNTESTED, CLUSTER),
        ("--lint --kubernetes=1.36", "lint type", 1, FAILED.format("lint, type"), {"lint": "failed", **CLUSTER}),
        ("", "", 0, "", {"lint": "passed", "type": "passed", **CLUSTER}),
        ("--all --exhaustive", "", 2, "--all and --exhaustive exclude each other", {}),
        ("--python=2.7", "", 2, "--python must be one of 3.11, ", {}),
    ],
)
def test_the_exit_code_says_whether_what_was_requested_passed_and_the_jobs_page_has_the_parts(
    tmp_path: Path, words: str, failing: str, code: int, told: str, parts: dict[str, str]
) -> None:
    (page := tmp_path / "page.md").write_text("what the job wrote before\n")
    (tmp_path / "tox.py").write_text(TOX)
    (reports := tmp_path / "reports").mkdir()
    environment = {"PYTHONPATH": str(tmp_path), "FAILING": failing, "GITHUB_STEP_SUMMARY": str(page)}
    ended = python("-c", PROGRAM, str(reports), "test", *words.split(), environment=environment)
    assert (ended.returncode, told in ended.stderr) == (code, True), ended.stdout + ended.stderr
    before, *lines = page.read_text().splitlines()
    assert (before, lines[:2]) == ("what the job wrote before", HEAD if parts else [])
    rows = dict(line.strip("| ").split(" | ")[:2] for line in lines[2:] if line.startswith("| "))
    shown = [" ".join(line.split()) for line in ended.stdout.splitlines()]
    for name, result in parts.items():
        assert rows[name] == result
        assert [line for line in shown if line.startswith(f"{name} {result} ")], ended.stdout
