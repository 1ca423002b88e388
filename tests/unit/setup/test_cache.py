"""What setup keeps in the cache: the receipt of what it installed, and its log."""

import re
from pathlib import Path

import pytest

from kubetasks.setup import log, receipt
from kubetasks.terminal import locking
from kubetasks.terminal.report import Report


def test_what_only_a_newer_clone_knows_does_not_break_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "receipt.json").write_text('{"packages": ["docker.io"], "engine_pid": 7, "of_tomorrow": {}}')
    assert receipt.read(tmp_path) == receipt.Receipt(packages=["docker.io"], engine_pid=7)


def test_a_lock_that_another_run_holds_and_notes_of_pytest_outlive_the_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "receipt.json").write_text("{}")
    notes = tmp_path / "pytest" / "t1.jsonl"
    notes.parent.mkdir()
    notes.touch()
    with locking.held(tmp_path / "other.lock", Report().tell, "another run"):
        receipt.discard(tmp_path, Report().say)
        assert {*tmp_path.rglob("*")} == {tmp_path / "other.lock", notes.parent, notes}
    assert f"Kept {notes.parent}: pytest is still running, or was killed" in capsys.readouterr().err
    notes.unlink()
    receipt.discard(tmp_path, Report().say)
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_keeps_the_first_ones_log(tmp_path: Path) -> None:
    path = log.new_log(tmp_path)
    with path.open("a") as out:
        out.write("why it failed\n")
    assert log.new_log(tmp_path) == path == tmp_path / "logs" / "setup.log"
    assert re.fullmatch(r"\n=== .* ===\nwhy it failed\n\n=== .*, process \d+ ===\n", path.read_text())
