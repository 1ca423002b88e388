"""Signals: the first one ends the run, and nothing interrupts the clean-up that follows."""

import contextlib
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from kubetasks.terminal import interruption


def take() -> None:
    """End the run on the first signal."""
    for number in interruption.SIGNALS:
        signal.signal(number, _end)


def ignore() -> None:
    for number in interruption.SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def received() -> bool:
    """Whether the first signal has come."""
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN or bool(interruption.came())


@contextmanager
def kept() -> Iterator[None]:
    """Restore the handlers at the end of the block, as tasks install their own, unless the run ends."""
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    try:
        yield
    finally:
        if received():
            ignore()
        else:
            for number, handler in before.items():
                signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    """Pass the signal on as SIGTERM, then raise KeyboardInterrupt.

    A terminal signals workers and programs itself; tox and job runners signal this process alone.
    """
    ignore()
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGTERM)
    signal.default_int_handler(number, frame)
