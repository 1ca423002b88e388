"""The first signal interrupts a task, the next ones do not disturb its clean-up, and a late one ends it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kubetasks.terminal import interruption, shell
from tasks import PROJECT
from tests.support.processes import foreground

# Python handles a signal that arrives just before a blocking read only after the read: so poll until there is input
LINE = """
import select, sys
def line():
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        pass
    sys.stdin.readline()
"""


def python(*words: str, **more: Any) -> "subprocess.Popen[str]":
    """Start Python with pipes; signals interrupt it even if the tests run in the background."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, *words], stdin=pipe, stdout=pipe, text=True, preexec_fn=foreground, **more)


def interrupted(process: "subprocess.Popen[str]", number: signal.Signals, begins: str = "working\n") -> str:
    """Send a signal once the process has printed `begins`; return the next line that it prints."""
    assert process.stdout
    assert process.stdout.readline() == begins
    process.send_signal(number)
    return process.stdout.readline()


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
interruption.reset()  # the next task
try:
    print("working", flush=True)
    line()
except KeyboardInterrupt:
    print("interrupted again", flush=True)
"""


UNREAD = "gone, theirs = os.pipe(); os.dup2(theirs, 2); os.close(theirs); os.close(gone)"
OF_A_CLOSED_TERMINAL = [(signal.SIGHUP, "os.close(2)"), (signal.SIGHUP, UNREAD)]


@pytest.mark.parametrize(("first", "close"), [*((number, "") for number in interruption.SIGNALS), *OF_A_CLOSED_TERMINAL])
def test_the_first_signal_interrupts_and_those_that_follow_do_not_until_the_next_task(first: signal.Signals, close: str) -> None:
    with python("-c", f"import os; {close}\n{LINE}{TASK.format(late=600)}") as process:
        assert process.stdin
        assert process.stdout
        assert interrupted(process, first) == "cleaning\n"
        for number in interruption.SIGNALS:
            process.send_signal(number)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "clean\n"
        assert interrupted(process, first) == "interrupted again\n"
    assert process.returncode == 0


@pytest.mark.promise("If that takes longer than five seconds")
@pytest.mark.parametrize(("second", "close"), [*((number, "") for number in interruption.SIGNALS), *OF_A_CLOSED_TERMINAL])
def test_a_late_signal_ends_a_task_whatever_it_does_also_if_nobody_reads_its_errors(second: signal.Signals, close: str) -> None:
    assert interruption.LATE_SECONDS == 5, "as the pages say"
    with python("-c", f"import os; {close}\n{LINE}{TASK.format(late=0)}") as process:
        assert interrupted(process, signal.SIGINT) == "cleaning\n"
        process.send_signal(second)
        assert process.communicate()[0] == ""
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
    argv = [sys.executable, "-c", DESTROYING.replace("{next}", next_)]
    ended = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=30, preexec_fn=foreground)
    assert (ended.returncode, ended.stdout) == (0, "clean\ninterrupted\n")


def test_ctrl_c_before_a_task_begins_prints_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "invoke.py").write_text("import sys; print('importing', flush=True); sys.stdin.readline()")
    variables = {**os.environ, "PYTHONPATH": str(PROJECT.folder)}
    with python("-m", "kubetasks", "--list", cwd=tmp_path, env=variables, stderr=subprocess.PIPE) as process:
        assert interrupted(process, signal.SIGINT, "importing\n") == ""
        assert process.stderr
        assert process.stderr.read() == ""
    assert process.returncode == -signal.SIGINT


CHILD = """
import sys, time
try:
    print("working", flush=True); time.sleep(30)
except KeyboardInterrupt:
    print("interrupted", flush=True); sys.exit(3)
"""
SHOW = f"""
import sys
from kubetasks.__main__ import handle_signals
from kubetasks.terminal import shell
handle_signals()
shell.show([sys.executable, "-c", {CHILD!r}])
"""


@pytest.mark.parametrize("number", interruption.SIGNALS)  # to the parent alone, as a CI runner sends it
def test_a_program_that_is_shown_is_told_to_end_and_waited_for(number: signal.Signals) -> None:
    with python("-c", SHOW, stderr=subprocess.DEVNULL) as process:
        assert interrupted(process, number) == "interrupted\n"
    assert process.returncode == -signal.SIGINT, "it ends as if by Ctrl-C, and nothing comes after"


def test_programs_of_a_clean_up_get_no_signal_of_the_terminal() -> None:
    group = [sys.executable, "-c", "import os; print(os.getpgrp() == os.getpid())"]
    assert shell.run(group) == "False\n"
    with interruption.cleaning():
        assert shell.run(group) == "True\n"
