"""Wait under one deadline: check first, then whenever something changed, and stop early if waiting cannot help."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubetasks.errors import TaskError


@dataclass(frozen=True)
class Pending:
    """Not there yet; `detail` says what is missing, for the line that a person reads."""

    detail: str


@dataclass(frozen=True)
class Done:
    """There."""

    detail: str = ""


@dataclass(frozen=True)
class Failed:
    """Waiting cannot help."""

    reason: str
    hint: str = ""


State = Pending | Done | Failed


def until(
    check: Callable[[], State],
    *,
    timeout: float,
    changed: Callable[[float], None] = time.sleep,
    on_change: Callable[[str], None] = lambda _detail: None,
    longest_pause: float = 1.0,
    clock: Callable[[], float] = time.monotonic,
) -> State:
    """Call `check` until it returns Done or Failed; after `timeout` seconds return the last Pending.

    `changed(seconds)` blocks until something may have changed, at most that long. `on_change` gets each new detail once.
    """
    deadline = clock() + timeout
    told = None
    while True:
        state = check()
        if not isinstance(state, Pending):
            return state
        if state.detail != told:
            told = state.detail
            on_change(told)
        left = deadline - clock()
        if left <= 0:
            return state
        changed(min(left, longest_pause))


def until_done(
    check: Callable[[], State], error: type[TaskError], late: str, hint: str = "", *, timeout: float, **options: Any
) -> None:
    """Call `check` until it returns Done; `options` are those of `until`.

    Raise `error`: with the reason and hint of a Failed, or, after `timeout` seconds, with `late`, what was missing and `hint`.
    """
    end = until(check, timeout=timeout, **options)
    if isinstance(end, Failed):
        raise error(end.reason, end.hint or hint)
    if isinstance(end, Pending):
        raise error(f"{late} after {timeout:.0f} s: {end.detail}.", hint)
