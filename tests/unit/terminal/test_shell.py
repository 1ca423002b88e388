"""Programs are run from argument lists; an error has the output of the program that failed."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubetasks.errors import ProgramError, SetupError
from kubetasks.terminal import shell
from tests.unit.failing import raising

BEFORE = "\n".join(f"  {number}" for number in range(38, 49))


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_output_comes_back_and_errors_go_to_the_log(tmp_path: Path) -> None:
    seen: list[str] = []
    log = tmp_path / "log"
    code = "import sys; print('out'); print('working', file=sys.stderr)"
    assert shell.run(python(code), log=log, on_line=seen.append) == "out\n"
    assert log.read_text() == "working\n"
    assert seen == ["working"]


def test_merged_progress_on_either_stream_is_seen_line_by_line() -> None:
    seen: list[str] = []
    code = "import sys; print('one', flush=True); print('two', file=sys.stderr)"
    assert shell.run(python(code), on_line=seen.append, merged=True) == ""
    assert seen == ["one", "two"]
    with pytest.raises(ProgramError, match="no room"):
        shell.run(python("print('no room'); raise SystemExit(1)"), merged=True)


def test_words_and_variables_reach_the_program_as_they_are_and_its_input_is_empty() -> None:
    code = "import os, sys; print(sys.argv[1], os.environ['GREETING'] + sys.stdin.read())"
    assert shell.run([*python(code), "$(id); `id`"], env={"GREETING": "$HOME"}) == "$(id); `id` $HOME\n"


def test_a_failure_carries_the_command_the_code_the_end_of_the_output_and_the_log(tmp_path: Path) -> None:
    argv = python("import sys; print(*range(50), sep='\\n', file=sys.stderr); sys.exit(3)")
    with pytest.raises(ProgramError) as failure:
        shell.run(argv, log=tmp_path / "log")
    assert (failure.value.returncode, failure.value.argv) == (3, argv)
    code = "import sys; print('half a', end=''); print('failed', file=sys.stderr); sys.exit(1)"
    with pytest.raises(ProgramError, match="ended with 1: failed\n") as both:
        shell.run(python(code))
    assert both.value.output == "half a\nfailed"
    name = Path(sys.executable).name
    assert failure.value.sentence.startswith(f"{name} ended with 3: 49\n  `{sys.executable} -c import sys")
    assert failure.value.sentence.endswith(f"`\n{BEFORE}\n  full log: {tmp_path}/log")


def test_a_program_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(SetupError, match="no-such-program cannot be run: No such file"):
        shell.run(["no-such-program"])


STUBBORN = """
import signal, subprocess, sys
print("asked", file=sys.stderr, flush=True)
subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"])
signal.pause()
"""


def test_a_program_is_ended_at_its_deadline_with_those_that_it_has_started_and_each_has_a_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ProgramError) as ended:
        shell.run(python(STUBBORN), timeout=3)
    assert ended.value.returncode == -signal.SIGKILL
    assert ended.value.output == "asked\nit had not ended after 3 s"
    assert shell.run(python("print('in time')"), timeout=30) == "in time\n"
    with pytest.raises(ProgramError, match="it had not ended after"):  # although it has closed its output
        shell.run(python("import os, signal; os.close(1); os.close(2); signal.pause()"), timeout=1)
    monkeypatch.setattr(shell, "LONGEST_SECONDS", 0.5)
    with pytest.raises(ProgramError, match="it had not ended after"):
        shell.run(python("import signal; signal.pause()"))


def test_the_line_can_be_pasted() -> None:
    assert shell.line(["echo", "a b"], {"NAME": "x y"}) == "NAME='x y' echo 'a b'"


WAITS = "import signal, sys; print('asked', file=sys.stderr, flush=True); signal.pause()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {WAITS}"


@pytest.mark.parametrize(
    ("code", "given", "error"),
    [
        pytest.param(WAITS, {"on_line": raising(SetupError(""))}, SetupError, id="what a line leads to"),
        pytest.param(WAITS, {"log": Path("/dev/full")}, OSError, id="a log that cannot be written"),
        pytest.param(DEAF, {"on_line": raising(KeyboardInterrupt())}, KeyboardInterrupt, id="though it ignores that"),
    ],
)
def test_what_fails_while_a_program_runs_ends_the_program(
    monkeypatch: pytest.MonkeyPatch, code: str, given: dict[str, Any], error: type[BaseException]
) -> None:
    process: Any = shell.start(python(code), stderr=subprocess.PIPE, text=True)
    monkeypatch.setattr(shell, "start", lambda *_argv, **_more: process)
    monkeypatch.setattr(shell, "END_SECONDS", 0.1)
    with pytest.raises(error):
        shell.run(python(code), **given)
    assert process.returncode is not None
