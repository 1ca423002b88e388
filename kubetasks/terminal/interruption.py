"""Interruption: the first signal raises KeyboardInterrupt; a late one ends the process, and the next task mends what is left.

Signals belong to the process, and so does what is remembered here. `__main__` installs the handler; in another program none is,
and Ctrl-C raises KeyboardInterrupt as usual.
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
EXIT_CODE = 128 + signal.SIGINT  # what a shell reports for a program that SIGINT ended
ENDED = "Interrupted."
LATE_SECONDS = 5.0  # most tasks end within one or two; one that has not by then is blocked, or a person is in a hurry
CLEANING = "Cleaning up. If it takes longer than 5 s, another Ctrl-C ends it; `start` or `delete` mends what is left."
SHOW_CURSOR = "\x1b[?25h"  # a terminal's; rich hides it while it shows progress

programs: "set[subprocess.Popen[Any]]" = set()  # those that run for us
_first: int = 0  # the first signal since the task began
_since = 0.0  # when it came, by time.monotonic()
_cleanings = 0  # blocks of `cleaning` under way


def reset() -> None:
    """Begin a task: the next signal is the first one."""
    global _first
    _first = 0


def on_signal(number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt at the first signal; end the process at one that comes late. A clean-up is not disturbed."""
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


def came() -> int:
    """The first signal since the task began, or 0."""
    return _first


def check() -> None:
    """Raise KeyboardInterrupt if the first signal has come: Python drops what a handler raises while an object is destroyed."""
    if _first and not _cleanings and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt


def is_cleaning() -> bool:
    """Whether a clean-up is under way: its programs must not get the terminal's signals."""
    return _cleanings > 0


@contextmanager
def cleaning() -> Iterator[None]:
    """Let no signal disturb the clean-up in the block, unless it comes late."""
    global _cleanings
    _cleanings += 1
    try:
        yield
    finally:
        _cleanings -= 1


def terminate(program: "subprocess.Popen[Any]") -> None:
    """Tell a program to end and, if it has a process group of its own, those that it has started."""
    with suppress(ProcessLookupError, PermissionError):  # it has just ended; the second on macOS
        if os.getpgid(program.pid) == program.pid:
            os.killpg(program.pid, signal.SIGTERM)
        else:
            program.terminate()


def terminate_all() -> bool:
    """Tell all programs that run for us to end; False if there is none."""
    running = tuple(programs)
    for program in running:
        terminate(program)
    return bool(running)


def _end() -> NoReturn:
    try:
        terminate_all()  # they may not have been told of the first signal yet
        _tell(f"{SHOW_CURSOR if os.isatty(2) else ''}\n{ENDED}")
    finally:  # also if standard error is closed
        os._exit(EXIT_CODE)


def _tell(words: str) -> None:
    """Write a line from within a signal's handler, where print may not be called again; not if nobody reads."""
    with suppress(OSError):  # a terminal that was closed, which may send several signals, must not end the clean-up
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{words}\n".encode())
