"""What the user reads: results on standard output, progress on standard error."""

import io
import os
import pty
import re
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from kubetasks.terminal import report
from kubetasks.terminal.report import Report, duration
from tests.support.eventually import until


def untimed(text: str) -> str:
    """Remove the steps' seconds, which vary."""
    return re.sub(r" \([0-9.]+ s\)", "", text)


@pytest.mark.parametrize(("typed", "agreed"), [("y\n", True), (" YES\n", True), ("n\n", False), ("\n", False), ("", False)])
def test_only_who_types_yes_agrees(monkeypatch: pytest.MonkeyPatch, typed: str, agreed: bool) -> None:
    terminal = io.StringIO(typed)
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)
    assert Report().agrees("Change it?") is agreed


def test_a_step_that_is_interrupted_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), Report().step("Building"):
        raise KeyboardInterrupt
    assert untimed(capsys.readouterr().err) == "Building: interrupted\n"


def test_a_long_step_says_where_it_is_without_being_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "QUIET_SECONDS", 0.001)
    with Report().step("Compiling") as step:
        step.at("runtime", 3, 9)
        until(lambda: "  Compiling: 3 of 9 runtime (" in capsys.readouterr().err, timeout=60)


WITHIN_A_STEP = """
from kubetasks.terminal.door import Door
from kubetasks.terminal.report import Report
do = Door(Report(), echo=True)
do(["docker", "stop", *(f"node-{number}" for number in range(30))], lambda at: at("the first"), "Stopping")
"""


@pytest.mark.parametrize("piped", [False, True])
def test_on_a_terminal_a_command_within_a_step_is_one_line_of_standard_output(piped: bool) -> None:
    controller, terminal = pty.openpty()
    out = subprocess.PIPE if piped else terminal
    with subprocess.Popen([sys.executable, "-c", WITHIN_A_STEP], stdout=out, stderr=terminal, text=True) as program:
        printed, _ = program.communicate(timeout=60)
    os.close(terminal)
    shown = b""
    with suppress(OSError):  # on Linux, reading at its end is an error
        while piece := os.read(controller, 4096):
            shown += piece
    os.close(controller)
    command = f"docker stop {' '.join(f'node-{number}' for number in range(30))}"
    assert (printed if piped else shown.decode()).count(command) == 1
    assert (command in shown.decode()) == (not piped)
    assert "Stopping: done" in shown.decode()


def test_who_waits_is_told_what_for_unless_a_step_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "SILENT_SECONDS", 0.001)
    with Report().step("Delivering"), report.waiting_for("the engine answers"), report.waiting_for("the node pulls"):
        time.sleep(0.05)
    assert untimed(capsys.readouterr().err) == "Delivering: done\n"
    with report.waiting_for("Listing images"):
        until(lambda: "Listing images ...\n" in capsys.readouterr().err, timeout=60)


def test_a_table_keeps_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Report().table(("A", "B"), [("[bold]x[/x]", 1)])
    assert capsys.readouterr().out.split() == ["A", "B", "[bold]x[/x]", "1"]


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s")])
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text
