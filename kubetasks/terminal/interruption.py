"""Interruption: the first signal stops the task cleanly. During some clean-ups, a second one leaves the rest to another process;
otherwise one that comes late ends the task at once, because something blocks it.
"""

import _thread
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

from kubetasks.project.application import PROJECT
from kubetasks.project.settings import Settings

INTERRUPTING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 128 + 2  # what a shell reports for a program that SIGINT ended
LEFT = {  # by what the other process does: what a person reads
    "discard": "The clean-up goes on in the background; ./inv delete waits for it, and removes what is left.",
    "clean": "The clean-up goes on in the background; ./inv clean --all waits for it, and removes what is left.",
}
INTERRUPTED_LINE = "Interrupted."
PATIENCE_SECONDS = 5.0  # most tasks end within one or two; one that has not by then ends at once at the next signal
AGAIN_SECONDS = 0.01
SHOW_CURSOR = "\x1b[?25h"  # a terminal's; rich hides it while it shows progress

programs: "set[subprocess.Popen[Any]]" = set()  # those that run for us
_interrupted: set[signal.Signals] = set()  # what is handled as a second signal, since the first one came
_interrupted_at = 0.0  # by time.monotonic()
_undisturbed: list[None] = []  # one for each such block under way
_patient: list[None] = []  # the same
_completions: list[tuple[str, str]] = []  # for each block under way that has one: a word of LEFT, and settings as JSON
_completing: list[str] = []  # the program that completes a clean-up


def may_leave(program: Sequence[str]) -> None:
    """Let a second signal end this process, and `program` complete the clean-up: it gets a word of LEFT, and the settings as JSON
    on its standard input.
    """
    _completing[:] = program


def restore() -> None:
    """Let signals end this process: in the background, under nohup and after `_leave` it inherits that they are ignored."""
    for number in INTERRUPTING:
        signal.signal(number, signal.SIG_DFL)


def terminate(program: "subprocess.Popen[Any]") -> None:
    """Tell a program to end and, if it has a process group of its own, those that it has started."""
    with suppress(ProcessLookupError):  # it has just ended
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


def handle_signals() -> None:
    """Raise KeyboardInterrupt at the first signal that asks us to end. See the module for those that follow."""
    for number in INTERRUPTING:
        if number in _interrupted or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _interrupt)
    _interrupted.clear()


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interrupted_at
    _interrupted_at = time.monotonic()
    sys.unraisablehook = _raise_dropped
    for other in INTERRUPTING:
        if signal.getsignal(other) != signal.SIG_IGN:
            signal.signal(other, _second_handler())
            _interrupted.add(other)
    signal.default_int_handler(number, frame)


def _raise_dropped(dropped: "sys.UnraisableHookArgs") -> None:
    """Raise the interruption again: Python drops it if it comes while an object is destroyed, and the task would go on."""
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        signal.signal(signal.SIGALRM, _interrupt_again)
        _signal_again()
    else:
        sys.__unraisablehook__(dropped)


def _signal_again() -> None:
    """Send SIGALRM soon. A timer would send it also once Python has given up its handlers, which ends the process."""

    def send() -> None:
        time.sleep(AGAIN_SECONDS)
        os.kill(os.getpid(), signal.SIGALRM)

    with suppress(RuntimeError):  # Python is ending
        _thread.start_new_thread(send, ())  # it takes no lock of threading's, which the main thread may hold


def _interrupt_again(number: int, frame: FrameType | None) -> None:
    if _undisturbed:
        _signal_again()
    else:
        _interrupt(number, frame)


def _second_handler() -> Any:
    if _completions:
        return _leave if _completing else signal.SIG_IGN
    return signal.SIG_IGN if _undisturbed else _end_if_late


def _end_if_late(_number: int, _frame: FrameType | None) -> None:
    if not _patient and time.monotonic() - _interrupted_at >= PATIENCE_SECONDS:
        _end_at_once(INTERRUPTED_LINE)


def _end_at_once(words: str) -> NoReturn:
    try:
        terminate_all()  # they may not have been told of the first signal yet
        cursor = SHOW_CURSOR if os.isatty(2) else ""
        if select.select([], [2], [], 0)[1]:  # what blocks the task may be that nobody reads it
            # not print, which is not to be called again from within itself
            os.write(2, f"{cursor}\n{words}\n".encode())
    finally:  # also if standard error is closed
        os._exit(INTERRUPTED)


def _leave(_number: int, _frame: FrameType | None) -> None:
    """End at once, and let another process complete the clean-up. It waits for our locks, which end with us."""
    if not _completions:  # the block has just ended
        return
    for number in INTERRUPTING:
        signal.signal(number, signal.SIG_IGN)
    word, settings = _completions[0]  # the outermost one completes the others' too
    try:
        process = subprocess.Popen(
            [*_completing, word],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert process.stdin
        with process.stdin as given:
            given.write(settings)
    except OSError:  # then we go on ourselves
        return
    _end_at_once(LEFT[word])


def cleaning_up() -> bool:
    """Whether a signal must not reach the programs that we start, because a clean-up of ours uses them."""
    return signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, _leave, _end_if_late)


def interrupted() -> bool:
    """Whether the first signal has come to the task."""
    return bool(_interrupted)


@contextmanager
def completed_by(word: str, settings: Settings) -> Iterator[None]:
    """Within the block, a second signal ends the run at once, and another process does what the word of LEFT says."""
    _completions.append((word, settings.json()))
    _handle_second()
    try:
        yield
    finally:
        _completions.pop()
        _handle_second()


@contextmanager
def patient() -> Iterator[None]:
    """Within the block, in whichever thread, no later signal ends the task at once: it removes or records what it has made."""
    _patient.append(None)
    try:
        yield
    finally:
        _patient.pop()


def _handle_second() -> None:
    for number in _interrupted:
        signal.signal(number, _second_handler())


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let no signal disturb the clean-up in the block, nor the programs that it starts; it may be left to another process."""
    before: dict[signal.Signals, Any] = {}
    depth = len(_undisturbed)
    try:
        _undisturbed.append(None)
        for number in INTERRUPTING:
            before[number] = signal.getsignal(number)
            if before[number] != signal.SIG_IGN:
                signal.signal(number, _second_handler())
        yield
    finally:
        del _undisturbed[depth:]
        put_back(before)


def put_back(before: Mapping[signal.Signals, Any]) -> None:
    """Handle signals as before, or, if the first one has come meanwhile, as after it."""
    for number, handler in before.items():
        signal.signal(number, handler)
    _handle_second()
