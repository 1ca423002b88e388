"""What a person reads: results on standard output, progress on standard error."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from kubetasks.terminal import report
from kubetasks.terminal.report import Report, duration
from tests.support.eventually import until


def untimed(text: str) -> str:
    """Without the seconds of the steps, of which a busy machine has some."""
    return re.sub(r" \([0-9.]+ s\)", "", text)


@pytest.mark.promise("`stages` has the seconds")
def test_progress_does_not_mix_with_results(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Report()
    talk.say("working")
    talk.result("http://127.0.0.1:8080/")
    with talk.step("Sending"), talk.step("Connecting"):
        pass
    talk.document({"a": 1})
    out, err = capsys.readouterr()
    url, _, document = out.partition("\n")
    assert (url, untimed(err)) == ("http://127.0.0.1:8080/", "working\nConnecting: done\nSending: done\n")
    told = json.loads(document)
    assert (told["a"], [one["stage"] for one in told["stages"]]) == (1, ["Connecting", "Sending"])


def test_what_may_be_of_a_log_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Report(spoken=lambda text: text.replace("./inv", "inv"))
    talk.result("./invented/path")
    talk.say("./inv start")
    assert capsys.readouterr() == ("./invented/path\n", "inv start\n")


def test_the_outcome_is_told_with_json_and_not_under_dry(capsys: pytest.CaptureFixture[str]) -> None:
    Report(dry=True, json=True).outcome({"a": 1})
    Report().outcome({"a": 1})
    assert capsys.readouterr().out == ""
    Report(json=True).outcome({"a": 1})
    assert json.loads(capsys.readouterr().out)["a"] == 1


@pytest.mark.promise("With `--json`, a task prints")
@pytest.mark.parametrize(
    ("options", "out", "err", "go_on"),
    [
        ({}, "", "", True),
        ({"echo": True}, "x\ny\n", "", True),
        ({"dry": True}, "x\ny\n", "", False),
        ({"echo": True, "json": True}, "", "x\ny\n", True),  # standard output is for the document
        ({"echo": True, "piped": True}, "", "x\ny\n", True),  # what another program reads has commands
        ({"dry": True, "piped": True}, "x\ny\n", "", False),  # only if there is no result
    ],
)
def test_echo_shows_commands_and_dry_only_shows_them(
    capsys: pytest.CaptureFixture[str], options: dict[str, Any], out: str, err: str, go_on: bool
) -> None:
    assert Report(**options).equivalent("x", "y") is go_on
    assert capsys.readouterr() == (out, err)


def test_a_step_says_how_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    talk = Report()
    with talk.step("One"):
        pass
    with pytest.raises(RuntimeError), talk.step("Two"):
        raise RuntimeError
    with pytest.raises(KeyboardInterrupt), talk.step("Three"):
        raise KeyboardInterrupt
    assert untimed(capsys.readouterr().err) == "One: done\nTwo: failed\nThree: interrupted\n"


def test_a_long_step_says_where_it_is_without_being_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "QUIET_SECONDS", 0.001)
    told: list[str] = []

    def said() -> bool:
        told.append(capsys.readouterr().err)
        return "  Compiling: 3 of 9 runtime (" in "".join(told)

    with Report().step("Compiling") as step:
        step.at("runtime", 3, 9)
        until(said, timeout=60)


def test_a_table_keeps_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Report().table(("A", "B"), [("[bold]x[/x]", 1)])
    assert capsys.readouterr().out.split() == ["A", "B", "[bold]x[/x]", "1"]


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (59.6, "1 min 0 s"), (125, "2 min 5 s")])
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_who_waits_is_told_what_for_unless_a_step_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "SILENT_SECONDS", 0.001)
    told: list[str] = []

    def said(words: str) -> Callable[[], bool]:
        def look() -> bool:
            told.append(capsys.readouterr().err)
            return words in "".join(told)

        return look

    with Report().step("Delivering"), report.waiting_for("the engine answers"), report.waiting_for("the node pulls"):
        pass
    with report.waiting_for("the API server answers"):
        until(said("Waiting: the API server answers ...\n"), timeout=60)
    assert "engine" not in "".join(told)
