"""The first signal ends a task in order; those that follow never hurt the clean-up, and can leave it to another process."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kubetasks.project import settings
from kubetasks.project.application import PROJECT
from kubetasks.terminal import interruption, shell
from tests.support.waiting import until

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
        preexec_fn=interruption.restore,  # as in the foreground of a terminal
    )


CLEANING = """
import sys
from kubetasks.terminal import interruption, shell
try:
    with interruption.undisturbed():
        print("cleaning", flush=True)
        line()
        shell.run(["sh", "-c", "kill -INT $PPID $$; true"])
    print("clean", flush=True)
    line()
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
    for number in interruption.INTERRUPTING:
        process.send_signal(number)
    process.stdin.write("\n")
    process.stdin.flush()


def interrupt(process: "subprocess.Popen[str]", number: signal.Signals = signal.SIGINT) -> None:
    """Send the first signal while the process works, and wait until its clean-up begins."""
    assert process.stdout
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    assert process.stdout.readline() == "cleaning\n"


INTERRUPTIBLE = """
import sys
from kubetasks.terminal import interruption
interruption.PATIENCE_SECONDS = {patience}
interruption.handle_signals()
try:
    print("working", flush=True)
    line()
except KeyboardInterrupt:
    print("cleaning", flush=True)
    line()
    {then}
    print("clean", flush=True)
"""
NEXT_TASK = """
interruption.handle_signals()
try:
    print("working", flush=True)
    line()
except KeyboardInterrupt:
    print("interrupted again", flush=True)
"""
PROTECTED = """
    with interruption.{block}():
        print("protected", flush=True)
        line()
"""
BLOCKED = INTERRUPTIBLE.format(patience=0, then="")


@pytest.mark.parametrize("first", interruption.INTERRUPTING)
def test_the_first_signal_interrupts_and_those_that_follow_do_not_until_the_next_task(first: signal.Signals) -> None:
    with talking(INTERRUPTIBLE.format(patience=600, then="") + NEXT_TASK) as process:
        assert process.stdout
        interrupt(process, first)
        disturb(process)
        assert process.stdout.readline() == "clean\n"
        assert process.stdout.readline() == "working\n"
        process.send_signal(first)
        assert process.stdout.read() == "interrupted again\n"
    assert process.returncode == 0


@pytest.mark.parametrize("second", interruption.INTERRUPTING)
def test_a_later_signal_ends_a_task_that_something_blocks(second: signal.Signals) -> None:
    with talking(BLOCKED) as process:
        assert process.stdout
        interrupt(process)
        process.send_signal(second)
        assert process.stdout.read() == ""
    assert process.returncode == interruption.INTERRUPTED


def test_a_later_signal_ends_it_too_if_nobody_reads_its_errors_any_more() -> None:
    ours, theirs = os.pipe()
    with talking(f"import os; os.dup2({theirs}, 2)\n{BLOCKED}", theirs) as process:
        os.close(theirs)
        os.close(ours)
        assert process.stdout
        interrupt(process)
        process.send_signal(signal.SIGHUP)
        assert process.stdout.read() == ""
    assert process.returncode == interruption.INTERRUPTED


@pytest.mark.parametrize("block", ["undisturbed", "patient"])
def test_a_later_signal_does_not_end_what_must_be_completed(block: str) -> None:
    with talking(INTERRUPTIBLE.format(patience=0, then=PROTECTED.format(block=block))) as process:
        assert process.stdout
        assert process.stdin
        interrupt(process)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "protected\n"
        disturb(process)
        assert process.stdout.read() == "clean\n"
    assert process.returncode == 0


DESTROYING = """
import os, signal, time
from kubetasks.terminal import interruption
class Destroyed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
interruption.AGAIN_SECONDS = 0.2
interruption.handle_signals()
try:
    Destroyed()
    with interruption.undisturbed():
        time.sleep(3)
        print("clean", flush=True)
    while True:
        time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_a_signal_while_an_object_is_destroyed_is_not_lost_and_disturbs_no_clean_up() -> None:
    with talking(DESTROYING) as process:
        try:
            assert process.communicate(timeout=30)[0] == "clean\ninterrupted\n"
        finally:
            process.kill()
    assert process.returncode == 0


AT_THE_END = """
import atexit, os, signal
from kubetasks.terminal import interruption
interruption.AGAIN_SECONDS = 0.001
class Destroyed:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
interruption.handle_signals()
atexit.register(Destroyed)
"""


def test_a_signal_while_python_ends_changes_nothing() -> None:
    with talking(AT_THE_END) as process:
        assert process.communicate(timeout=30)[0] == ""
    assert process.returncode == 0


def test_ctrl_c_before_a_task_begins_prints_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "invoke.py").write_text("import sys; print('importing', flush=True); sys.stdin.readline()")
    process = subprocess.Popen(
        [sys.executable, "-m", "kubetasks", "--list"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruption.restore,
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
    with interruption.undisturbed():
        assert shell.run(group) == "True\n"


LEAVING = """
import sys
from kubetasks.terminal import interruption
from kubetasks.project import settings
interruption.may_leave([sys.executable, "-m", "completing"])
interruption.handle_signals()
ours = settings.read(settings.DEFAULTS, {"XDG_CACHE_HOME": "/cache"})
with interruption.completed_by("discard", ours), interruption.completed_by("inner", ours):
    try:
        print("working", flush=True)
        line()
    except KeyboardInterrupt:
        with interruption.undisturbed():
            print("cleaning", flush=True)
            line()
print("clean", flush=True)
"""
COMPLETING = """
import pathlib, sys
pathlib.Path(__file__).with_name("fresh").write_text(sys.argv[1] + " " + sys.stdin.read())
pathlib.Path(__file__).with_name("fresh").rename(pathlib.Path(__file__).with_name("completed"))
"""


@pytest.fixture
def completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the program that completes a clean-up was told, once it runs."""
    (tmp_path / "completing.py").write_text(COMPLETING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "completed"


def test_a_signal_during_a_clean_up_ends_the_run_and_another_process_completes_it(completed: Path) -> None:
    with talking(LEAVING) as process:
        assert process.stdout
        interrupt(process)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""
    assert process.returncode == interruption.INTERRUPTED
    until(completed.exists, timeout=60)
    word, _, given = completed.read_text().partition(" ")
    assert word == "discard", "the outermost one"
    ours = settings.read(settings.DEFAULTS, {"XDG_CACHE_HOME": "/cache"})
    assert settings.from_json(given) == ours
    assert json.loads(given)["cluster"] == ours.cluster


def test_after_one_signal_the_run_cleans_up_itself() -> None:
    with talking(LEAVING) as process:
        interrupt(process)
        assert process.communicate("\n")[0] == "clean\n"
    assert process.returncode == 0
