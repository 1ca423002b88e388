"""The door: every change outside this process goes through it, and it prints the equivalent command beside each one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol, TypeVar

from kubetasks.errors import EngineError
from kubetasks.terminal import shell
from kubetasks.terminal.report import Report

T = TypeVar("T")
Line = str | Sequence[str]  # a command as typed in a shell, or its words


class At(Protocol):
    """A function that shows what a step is doing now; with `done` and `total`, a terminal shows a bar."""

    def __call__(self, detail: str, done: int | None = None, total: int | None = None) -> None: ...


def pairs(flag: str, values: Mapping[str, str]) -> list[str]:
    """Return the words FLAG KEY=VALUE for each of the values."""
    return [word for key, value in values.items() for word in (flag, f"{key}={value}")]


def nowhere(detail: str, done: int | None = None, total: int | None = None) -> None:
    """Discard what is reported if there is no step to show it."""


class Door:
    """`echo` and `dry` are invoke's own --echo and --dry: both print the commands, and --dry changes nothing."""

    def __init__(self, report: Report, *, echo: bool = False, dry: bool = False) -> None:
        self.say = report.say
        self.tell = report.tell
        self._report = report
        self._shown = echo or dry
        self._dry = dry
        self._excused: set[str] = set()

    def __call__(self, command: Line | Callable[[], Line], call: Callable[[At], T], text: str = "") -> T | None:
        """Print the command and make the call, as a step if `text` is given. Return the call's result, or None under --dry."""
        self.show(command)
        with self.step(text) as at:
            return self.unless_dry(lambda: call(at))

    def did(self, command: Line, call: Callable[[], object]) -> bool:
        """Print the command and make the call, without a step. Return whether the call was made: False under --dry."""
        self.show(command)
        self.unless_dry(call)
        return not self._dry

    def unless_dry(self, call: Callable[[], T]) -> T | None:
        """Make a call without an equivalent command: a wait, a look, a file of the tasks. Under --dry, return None instead."""
        return None if self._dry else call()

    @contextmanager
    def holding(self, lock: AbstractContextManager[None]) -> Iterator[None]:
        """Hold a lock in the block, except under --dry."""
        with ExitStack() as stack:
            self.unless_dry(lambda: stack.enter_context(lock))
            yield

    @contextmanager
    def step(self, text: str) -> Iterator[At]:
        """Show the block as one step, except under --dry or if `text` is ""."""
        if self._dry or not text:
            yield nowhere
            return
        with self._report.step(text) as step:
            yield step.at

    def known(self, read: Callable[[], T], otherwise: T) -> T:
        """Return what `read` returns. Under --dry, if no engine answers, print that once as a comment, and return `otherwise`."""
        try:
            return read()
        except EngineError as error:
            if not self._dry:
                raise
            if error.sentence not in self._excused:
                self._excused.add(error.sentence)
                self.show("\n".join(f"# {line.strip()}" for line in str(error.message).splitlines()))
            return otherwise

    def show(self, command: Line | Callable[[], Line]) -> None:
        """Print a command or a comment under --echo and --dry. Pass a function if the command is expensive to compute."""
        if not self._shown:
            return
        if callable(command):
            command = command()
        self._report.command(command if isinstance(command, str) else shell.line(command))
