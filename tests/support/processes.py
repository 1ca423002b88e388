"""Programs that run beside a test, and lines that a user would paste into a shell."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from tasks import PROJECT
from tests.support import signals
from tests.support.driver import Tasks, run
from tests.support.eventually import until

Program = subprocess.Popen[str]
PHASES = ("Ensuring node image", "Preparing nodes", "Starting control-plane")  # of kind, as in its log


def foreground() -> None:
    """Let signals end the process, as in the foreground of a terminal: in the background and under nohup, some are ignored."""
    signals.handle(signal.SIG_DFL)


@contextmanager
def started(argv: list[str], environment: dict[str, str], folder: Path = PROJECT.folder) -> Iterator[Program]:
    """Run a program in its own process group, as a terminal does, and kill it at the end."""
    variables = os.environ | environment | {"PYTHONFAULTHANDLER": "1"}  # see `ended`
    process = subprocess.Popen(
        argv, cwd=folder, env=variables, stdout=PIPE, stderr=STDOUT, text=True, start_new_session=True, preexec_fn=foreground
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def begun(tasks: Tasks, *words: str, folder: Path | None = None, **environment: str) -> AbstractContextManager[Program]:
    """Run the command line of the tasks in the same way as `started`."""
    argv = [sys.executable, "-m", "kubetasks", *tasks.before, *words]
    return started(argv, tasks.environment | environment, folder or tasks.folder)


def ended(process: Program, seconds: float) -> str:
    """Wait until a program of `started` ends, and return its output; after `seconds`, fail and show its threads' stacks."""
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # Python's fault handler prints the stacks
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=10)
        os.killpg(process.pid, signal.SIGKILL)  # its child processes hold its output open
        output, _ = process.communicate(timeout=10)
        pytest.fail(f"{process.args!r} had not ended after {seconds} s:\n{output}")


def until_line(process: Program, words: str) -> str:
    """Return the output of a program of `started`, up to a line with these words."""
    assert process.stdout
    read = ""
    for line in process.stdout:
        read += line
        if words in line:
            return read
    pytest.fail(f"{process.args!r} ended without {words!r}:\n{read}")


@contextmanager
def creating(tasks: Tasks, phase: str) -> Iterator[Program]:
    """Run `start` until kind, which creates the cluster, reaches the phase; delete kind's log at the end."""
    log = tasks.settings.cache / "logs" / f"kind-{tasks.cluster}.log"
    try:
        with begun(tasks, "start") as process:
            until(lambda: phase in log.read_text())
            yield process
    finally:
        log.unlink(missing_ok=True)


def paste(script: str) -> None:
    """Run lines that were printed, as a user would: in a shell, one after the other.

    A build that fails is run again: another test may have removed a layer that it was using.
    """
    run(["bash", "-eux"], stdin=re.sub(r"^(docker build .*)$", r"\1 || \1", script, flags=re.MULTILINE))
