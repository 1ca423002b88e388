"""Programs that hear signals as in the foreground of a terminal, wherever the tests run."""

import signal

from kubetasks.interruption import INTERRUPTING


def hear_signals() -> None:
    """Undo, in a program that begins, what a shell does to a job in the background and nohup to any: signals are ignored."""
    for number in INTERRUPTING:
        signal.signal(number, signal.SIG_DFL)
