"""Interruption: the first signal ends a task in order; a second one ends the run at once, and never hurts the clean-up."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from kubetasks.application import PROJECT
from kubetasks.settings import Settings

INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 128 + 2  # what a shell reports for a program that SIGINT ended
COMPLETION = "kubetasks.actions.completion"  # the program that completes a clean-up
LEFT = "The clean-up goes on in the background; ./inv status shows what is still there."
SHOW_CURSOR = "\x1b[?25h"  # a terminal's; rich hides it while it shows progress
_silenced: set[signal.Signals] = set()  # since the first of them came: a task that ends in order may be followed by another


programs: "set[subprocess.Popen[str]]" = set()  # those that run for us
_completions: list[tuple[str, str]] = []  # of the clean-ups that the blocks under way may need: a word, and settings as JSON
_may_leave: list[bool] = []


def may_leave() -> None:
    """Let a second signal end this process, which is nobody else's: a test's process runs more than one task."""
    _may_leave.append(True)


def interrupt_once() -> None:
    """Raise KeyboardInterrupt at the first signal that asks us to end; those that follow find a clean-up under way."""
    for number in INTERRUPTING:
        if number in _silenced or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _interrupt)
    _silenced.clear()


def _interrupt(number: int, frame: FrameType | None) -> None:
    for other in INTERRUPTING:
        if signal.getsignal(other) != signal.SIG_IGN:
            signal.signal(other, _second())
            _silenced.add(other)
    signal.default_int_handler(number, frame)


def _second() -> Any:
    """What handles the second signal."""
    return _leave if _may_leave and _completions else signal.SIG_IGN


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once, and let another process complete the clean-up. It waits for our locks, which end with us."""
    for program in programs:  # it may not have been told of the first signal yet
        program.terminate()
    word, settings = _completions[0]  # the outermost one completes the others' too
    process = subprocess.Popen(
        [sys.executable, "-m", COMPLETION, word],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert process.stdin
    process.stdin.write(settings)
    process.stdin.close()
    cursor = SHOW_CURSOR if os.isatty(2) else ""
    with suppress(OSError):  # nobody reads it; and print is not to be called again from within itself
        os.write(2, f"{cursor}\n{LEFT}\n".encode())
    os._exit(INTERRUPTED)


def leaves_to_us() -> bool:
    """Whether a signal must not reach the programs that we start: a clean-up of ours uses them."""
    return signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, _leave)


@contextmanager
def completed_by(word: str, settings: Settings) -> Iterator[None]:
    """Within the block, a second signal ends the run at once: `python -m COMPLETION word` does the clean-up in the background."""
    _completions.append((word, settings.json()))
    _hear()
    try:
        yield
    finally:
        _completions.pop()
        _hear()


def _hear() -> None:
    """Handle a second signal as it is now to be handled, if there was a first."""
    for number in _silenced:
        signal.signal(number, _second())


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal interrupt the block, nor the programs that it starts: a second Ctrl-C must not hurt a clean-up."""
    before: dict[signal.Signals, Any] = {}
    try:
        for number in INTERRUPTING:
            before[number] = signal.getsignal(number)
            if before[number] != signal.SIG_IGN:
                signal.signal(number, _second())
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
