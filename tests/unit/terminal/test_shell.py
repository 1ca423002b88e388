"""Programs are run from argument lists; what fails says what it said."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kubetasks.errors import ProgramError, SetupError
from kubetasks.terminal import interruption, shell
from tests.support.processes import foreground
from tests.unit.failing import raising


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


def test_no_word_is_taken_for_shell() -> None:
    assert shell.run([*python("import sys; print(sys.argv[1])"), "$(id); `id`"]) == "$(id); `id`\n"


def test_the_environment_reaches_the_program_and_its_input_is_empty() -> None:
    code = "import os, sys; print(os.environ['GREETING'] + sys.stdin.read())"
    assert shell.run(python(code), env={"GREETING": "hello"}) == "hello\n"


def test_a_failure_carries_code_and_output() -> None:
    with pytest.raises(ProgramError, match="no room") as failure:
        shell.run(python("import sys; sys.exit('no room')"))
    assert failure.value.returncode == 1


def test_a_program_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(SetupError, match="no-such-program cannot be run: No such file"):
        shell.run(["no-such-program"])


STUBBORN = """
import signal, subprocess, sys
print("asked", file=sys.stderr, flush=True)
subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"])
signal.pause()
"""


def test_a_program_that_does_not_end_is_ended_at_its_deadline_with_those_that_it_has_started() -> None:
    with pytest.raises(ProgramError) as ended:
        shell.run(python(STUBBORN), timeout=3)
    assert ended.value.returncode == -signal.SIGKILL
    assert ended.value.output == "asked\nIt was ended: it had not ended after 3 s.\n"
    assert shell.run(python("print('in time')"), timeout=30) == "in time\n"


def test_what_a_line_leads_to_ends_the_program() -> None:
    def refuse(text: str) -> None:
        raise SetupError(text)

    with pytest.raises(SetupError, match="asked"):
        shell.run(python("import signal, sys; print('asked', file=sys.stderr, flush=True); signal.pause()"), on_line=refuse)


def test_the_line_can_be_pasted() -> None:
    assert shell.line(["echo", "a b"], {"NAME": "x y"}) == "NAME='x y' echo 'a b'"


CHILD = """
import sys, time
try:
    print("up", flush=True); time.sleep(30)
except KeyboardInterrupt:
    print("interrupted", flush=True); sys.exit(3)
"""


SHOW = "from kubetasks.terminal import shell; shell.show([sys.executable, '-c', {child!r}])"


@pytest.mark.parametrize("number", interruption.SIGNALS)  # to us alone, as a CI runner sends it
def test_what_is_shown_is_told_to_end_and_waited_for(number: signal.Signals) -> None:
    code = f"import sys; from kubetasks.__main__ import handle_signals; handle_signals(); {SHOW.format(child=CHILD)}"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
        preexec_fn=foreground,
    ) as shown:
        assert shown.stdout
        assert shown.stdout.readline() == "up\n"
        shown.send_signal(number)
        assert shown.stdout.read() == "interrupted\n"
    assert shown.returncode == -signal.SIGINT, "it ends as if by Ctrl-C, and nothing comes after"


def test_a_log_that_cannot_be_written_ends_the_program() -> None:
    with pytest.raises(OSError, match="No space left on device"):
        shell.run(python("import signal, sys; print('one', file=sys.stderr, flush=True); signal.pause()"), log=Path("/dev/full"))


def test_a_program_that_ignores_its_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "END_SECONDS", 0.1)
    deaf = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "

    with pytest.raises(KeyboardInterrupt):
        shell.run(
            python(f"{deaf}print('deaf', file=sys.stderr, flush=True); signal.pause()"), on_line=raising(KeyboardInterrupt())
        )


def test_without_a_deadline_of_its_own_a_program_has_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "LONGEST_SECONDS", 0.5)
    with pytest.raises(ProgramError, match="it had not ended after") as ended:
        shell.run(python("import signal; signal.pause()"))
    assert ended.value.returncode == -signal.SIGKILL
