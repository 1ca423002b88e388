"""Interruption: the first signal raises KeyboardInterrupt; a late one ends the process, and the next task repairs what is left.

Signals belong to the process, and so does the state kept here. `__main__` installs the handler; other programs have none, and
Ctrl-C raises KeyboardInterrupt as usual.
"""

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EXIT_CODE = 128 + signal.SIGINT  # what a shell reports for a program that SIGINT has killed
ENDED = "Interrupted."
LATE_SECONDS = 5.0  # most tasks end within one or two; after this time, one is blocked, or the user is in a hurry
CLEANING = "Cleaning up. If it takes longer than 5 s, another Ctrl-C ends it; `start` or `delete` repairs what is left."
SHOW_CURSOR = "\x1b[?25h"  # a terminal sequence; rich hides the cursor while it shows progress

programs: "set[subprocess.Popen[Any]]" = set()  # the running child processes
_first: int = 0  # the first signal since the task started, or 0
_since = 0.0  # when it arrived, by time.monotonic()
_cleanings = 0  # `cleaning` blocks in progress


def reset() -> None:
    """Start a new task: the next signal counts as the first."""
    global _first
    _first = 0


def on_signal(number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt on the first signal, end the process on a late one. In between and in a clean-up, only warn."""
    global _first, _since
    if _first and time.monotonic() - _since >= LATE_SECONDS:
        _end()
    again, now = bool(_first), time.monotonic()
    if not again:
        _first, _since = number, now
    if again or _cleanings:
        _tell(CLEANING)
    else:
        raise KeyboardInterrupt


def first_signal() -> int:
    """Return the first signal since the task started, or 0."""
    return _first


def check() -> None:
    """Raise KeyboardInterrupt if a signal has arrived: Python drops one that is raised while an object is being destroyed."""
    if _first and not _cleanings and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


def is_cleaning() -> bool:
    """Return whether a clean-up is in progress: its programs must not get the terminal's signals."""
    return _cleanings > 0


@contextmanager
def cleaning() -> Iterator[None]:
    """Protect the clean-up in the block from signals, except a late one."""
    global _cleanings
    _cleanings += 1
    try:
        yield
    finally:
        _cleanings -= 1


def terminate(program: "subprocess.Popen[Any]") -> None:
    """Send SIGTERM to a program or, if it has its own process group, to the whole group."""
    with suppress(ProcessLookupError, PermissionError):  # it has just ended; macOS raises the second
        if os.getpgid(program.pid) == program.pid:
            os.killpg(program.pid, signal.SIGTERM)
        else:
            program.terminate()


def terminate_all() -> bool:
    """Send SIGTERM to all running child processes; return False if there are none."""
    running = tuple(programs)
    for program in running:
        terminate(program)
    return bool(running)


def _end() -> NoReturn:
    try:
        terminate_all()  # the first signal may not have reached them yet
        _tell(f"{SHOW_CURSOR if os.isatty(2) else ''}\n{ENDED}")
    finally:  # even if standard error is closed
        os._exit(EXIT_CODE)


def _tell(words: str) -> None:
    """Write a line from a signal handler, where print may not be reentered. Skip it if standard error is not read."""
    with suppress(OSError):  # a closed terminal, which may send several signals, must not end the clean-up
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{words}\n".encode())
