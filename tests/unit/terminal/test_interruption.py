"""The first signal interrupts a task, those that follow do not disturb its clean-up, and a late one ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kubetasks.terminal import interruption, shell
from tasks import PROJECT
from tests.support.processes import foreground

# Python handles a signal that comes just before a read only after it: so the program looks whether there is something to read
LINE = """
import select, sys
def line():
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        pass
    sys.stdin.readline()
"""


def talking(code: str, *inherited: int) -> "subprocess.Popen[str]":
    """Run Python code that waits for lines of ours, by `line()`, and that signals interrupt."""
    return subprocess.Popen(
        [sys.executable, "-c", LINE + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=inherited,
        preexec_fn=foreground,
    )


def go_on(process: "subprocess.Popen[str]") -> None:
    """Write the line that the process waits for."""
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def interrupt(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGINT) -> None:
    """Send the first signal while the process works, and wait until its clean-up begins."""
    assert process.stdout
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    assert process.stdout.readline() == "cleaning\n"


TASK = """
from kubetasks.__main__ import handle_signals
from kubetasks.terminal import interruption, shell
interruption.LATE_SECONDS = {late}
handle_signals()
try:
    print("working", flush=True)
    line()
except KeyboardInterrupt:
    with interruption.cleaning():
        print("cleaning", flush=True)
        line()
        shell.run(["sh", "-c", "kill -INT $PPID; true"])
    print("clean", flush=True)
"""
NEXT_TASK = """
interruption.reset()
try:
    print("working", flush=True)
    line()
except KeyboardInterrupt:
    print("interrupted again", flush=True)
"""


@pytest.mark.parametrize("first", interruption.SIGNALS)
def test_the_first_signal_interrupts_and_those_that_follow_do_not_until_the_next_task(first: signal.Signals) -> None:
    with talking(TASK.format(late=600) + NEXT_TASK) as process:
        assert process.stdout
        interrupt(process, first)
        for number in interruption.SIGNALS:
            process.send_signal(number)
        go_on(process)
        assert process.stdout.readline() == "clean\n"
        assert process.stdout.readline() == "working\n"
        process.send_signal(first)
        assert process.stdout.read() == "interrupted again\n"
    assert process.returncode == 0


@pytest.mark.promise("If that takes longer than five seconds")
@pytest.mark.parametrize("second", interruption.SIGNALS)
def test_a_late_signal_ends_a_task_whatever_it_does(second: signal.Signals) -> None:
    assert interruption.LATE_SECONDS == 5, "as the pages say"
    with talking(TASK.format(late=0)) as process:
        assert process.stdout
        interrupt(process)
        process.send_signal(second)
        assert process.stdout.read() == ""
    assert process.returncode == interruption.EXIT_CODE


def test_a_late_signal_ends_it_too_if_nobody_reads_its_errors_any_more() -> None:
    ours, theirs = os.pipe()
    with talking(f"import os; os.dup2({theirs}, 2)\n{TASK.format(late=0)}", theirs) as process:
        os.close(theirs)
        os.close(ours)
        assert process.stdout
        interrupt(process)
        process.send_signal(signal.SIGHUP)
        assert process.stdout.read() == ""
    assert process.returncode == interruption.EXIT_CODE


DESTROYING = """
import os, signal
from kubetasks.__main__ import handle_signals
from kubetasks.terminal import interruption, shell, wait
class Destroyed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
handle_signals()
try:
    Destroyed()
    with interruption.cleaning():
        print(shell.run(["echo", "clean"]), end="", flush=True)
    {next}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("next_", ["shell.run(['sleep', '60'])", "wait.until(lambda: wait.Pending(''), timeout=60)"])
def test_a_signal_while_an_object_is_destroyed_is_not_lost_and_disturbs_no_clean_up(next_: str) -> None:
    with talking(DESTROYING.replace("{next}", next_)) as process:
        try:
            assert process.communicate(timeout=30)[0] == "clean\ninterrupted\n"
        finally:
            process.kill()
    assert process.returncode == 0


def test_ctrl_c_before_a_task_begins_prints_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "invoke.py").write_text("import sys; print('importing', flush=True); sys.stdin.readline()")
    process = subprocess.Popen(
        [sys.executable, "-m", "kubetasks", "--list"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT.folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=foreground,
    )
    with process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "importing\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == ""
    assert process.returncode == -signal.SIGINT


def test_programs_of_a_clean_up_get_no_signal_of_the_terminal() -> None:
    group = [sys.executable, "-c", "import os; print(os.getpgrp() == os.getpid())"]
    assert shell.run(group) == "False\n"
    with interruption.cleaning():
        assert shell.run(group) == "True\n"


@pytest.mark.parametrize(
    "close", ["os.close(2)", "gone, theirs = os.pipe(); os.dup2(theirs, 2); os.close(theirs); os.close(gone)"]
)
def test_a_terminal_that_was_closed_and_sends_a_second_signal_does_not_end_the_clean_up(close: str) -> None:
    with talking(f"import os; {close}\n{TASK.format(late=600)}") as process:
        assert process.stdout
        interrupt(process, signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        go_on(process)
        assert process.stdout.read() == "clean\n"
    assert process.returncode == 0
