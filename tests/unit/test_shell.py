"""Programs are run from argument lists; what fails says what it said."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kubetasks import shell
from kubetasks.errors import ProgramError, SetupError


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


def test_a_stopped_job_ends_its_program() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(ProgramError) as ended:
        shell.run(python("import signal; signal.pause()"), stop=stop)
    assert ended.value.returncode < 0


def test_the_line_can_be_pasted() -> None:
    assert shell.line(["echo", "a b"], {"NAME": "x y"}) == "NAME='x y' echo 'a b'"


CHILD = """
import sys, time
try:
    print("up", flush=True); time.sleep(30)
except KeyboardInterrupt:
    print("interrupted", flush=True); sys.exit(3)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_is_shown_is_told_to_end_and_waited_for(number: signal.Signals) -> None:
    code = f"import sys; from kubetasks import shell; shell.show([sys.executable, '-c', {CHILD!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's background job would ignore it
    ) as shown:
        assert shown.stdout
        assert shown.stdout.readline() == "up\n"
        shown.send_signal(number)
        assert shown.stdout.read() == "interrupted\n"
    assert shown.returncode == -signal.SIGINT, "it ends as if by Ctrl-C, and nothing comes after"


def talking(code: str) -> "subprocess.Popen[str]":
    """Run Python code that waits for lines of ours, and that Ctrl-C interrupts: a shell's background job would ignore it."""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


CLEANING = """
import sys
from kubetasks import shell
try:
    with shell.undisturbed():
        print("cleaning", flush=True)
        sys.stdin.readline()
        shell.run(["sh", "-c", "kill -INT $PPID $$; true"])
    print("clean", flush=True)
    sys.stdin.readline()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_no_signal_disturbs_a_clean_up_nor_its_programs_and_afterwards_they_count_again() -> None:
    with talking(CLEANING) as process:
        assert process.stdout
        assert process.stdout.readline() == "cleaning\n"
        disturb(process)
        assert process.stdout.readline() == "clean\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == "interrupted\n"


def disturb(process: "subprocess.Popen[str]") -> None:
    """Send every signal that asks to end, and then the line that the process waits for."""
    assert process.stdin
    for number in shell.INTERRUPTING:
        process.send_signal(number)
    process.stdin.write("\n")
    process.stdin.flush()


ONCE = """
import sys
from kubetasks import shell
shell.interrupt_once()
try:
    print("working", flush=True)
    sys.stdin.readline()
except KeyboardInterrupt:
    print("cleaning", flush=True)
    sys.stdin.readline()
    print("clean", flush=True)
shell.interrupt_once()
try:
    print("working", flush=True)
    sys.stdin.readline()
except KeyboardInterrupt:
    print("interrupted again", flush=True)
"""


@pytest.mark.parametrize("first", shell.INTERRUPTING)
def test_the_first_signal_interrupts_and_those_that_follow_do_not_until_the_next_task(first: signal.Signals) -> None:
    with talking(ONCE) as process:
        assert process.stdout
        assert process.stdout.readline() == "working\n"
        process.send_signal(first)
        assert process.stdout.readline() == "cleaning\n"
        disturb(process)
        assert process.stdout.readline() == "clean\n"
        assert process.stdout.readline() == "working\n"
        process.send_signal(first)
        assert process.stdout.read() == "interrupted again\n"
    assert process.returncode == 0


def test_a_log_that_cannot_be_written_is_told_once_the_program_has_ended() -> None:
    lines: list[str] = []
    with pytest.raises(OSError, match="No space left on device"):
        shell.run(python("import sys; sys.stderr.write('one\\ntwo\\n')"), log=Path("/dev/full"), on_line=lines.append)
    assert lines == ["one", "two"]


def test_programs_of_a_clean_up_get_no_signal_of_the_terminal() -> None:
    group = python("import os; print(os.getpgrp() == os.getpid())")
    assert shell.run(group) == "False\n"
    with shell.undisturbed():
        assert shell.run(group) == "True\n"
