"""Signals: the first one ends the run, and nothing interrupts the clean-up that follows."""

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from kubetasks.terminal import interruption


def handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    """Set the handler of each signal that ends a task."""
    for number in interruption.SIGNALS:
        signal.signal(number, handler)


def received() -> bool:
    """Return whether the first signal has arrived."""
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN or bool(interruption.first_signal())


def restore() -> None:
    """Replace the handlers that a task in this process has installed."""
    handle(signal.SIG_IGN if received() else end)


def end(number: int, frame: FrameType | None) -> None:
    """End the run: pass the signal on as SIGTERM, then raise KeyboardInterrupt.

    A terminal also signals workers and programs; tox and job runners signal only this process.
    """
    handle(signal.SIG_IGN)
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGTERM)
    signal.default_int_handler(number, frame)
