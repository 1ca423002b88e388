"""The log of setup."""

import re
from pathlib import Path

import pytest

from kubetasks.setup import log
from tests.unit.configured import configured


def test_a_second_run_keeps_the_first_ones_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = configured(cache=tmp_path)
    path = log.new_log(configuration)
    with path.open("a") as out:
        out.write("why it failed\n")
    assert log.new_log(configuration) == path == tmp_path / "logs" / "setup.log"
    assert re.fullmatch(r"\n=== .* ===\nwhy it failed\n\n=== .*, process \d+ ===\n", path.read_text())
    monkeypatch.setattr(log, "LARGE", 10)
    log.new_log(configuration)
    assert re.fullmatch(r"\n=== .* ===\n", path.read_text())
    assert "why it failed" in (path.parent / "setup.old.log").read_text()
