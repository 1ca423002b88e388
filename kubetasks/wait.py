"""Waiting: one deadline, a check first and then whenever something changed, and an early end where nothing can heal."""

import time
from collections.abc import Callable
from dataclasses import dataclass


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
    """It cannot get there by waiting."""

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
    """Ask `check` until it says Done or Failed, or until `timeout` seconds are over; then the last Pending is returned.

    `changed(seconds)` blocks until something may have changed, at most that long; `on_change` hears each new detail once.
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
