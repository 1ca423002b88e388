"""Wait as long as something moves: check first, then again and again, and stop early if waiting cannot help."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubetasks.errors import TaskError
from kubetasks.terminal import interruption

REST = 2  # times as long as a check took
LONGEST_SECONDS = 2.0  # between two checks
MOST = 10  # times as long as without anything new


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
    """Waiting cannot help, once this has lasted for `grace` seconds.

    `code` names the kind of failure and `subject` what has it: both, and the grace, the same in the next state means that
    it lasts.
    `error` is what to raise, if that is known already.
    """

    reason: str
    hint: str = ""
    code: str = ""
    subject: str = ""
    grace: float = 0.0
    error: TaskError | None = None


State = Pending | Done | Failed


def until(
    check: Callable[[], State],
    *,
    timeout: float,
    on_change: Callable[[str], None] = lambda _detail: None,
    pause: float = 0.2,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> State:
    """Call `check` until it returns Done or a Failed that has lasted, or nothing new comes for `timeout` seconds.

    Return the last state. So a slow machine gets the time that it needs, and what goes back and forth ends. `on_change` gets
    each change. Between two checks `pause` seconds pass, or twice as long as a check took, 2 s at most: while a hundred pods
    start, the API server and the node have other work.
    """
    begun = clock()
    deadline = begun + timeout
    told, known = None, set[str]()
    failing, since = None, 0.0
    while True:
        interruption.check()
        began, state, now = clock(), check(), clock()
        if isinstance(state, Done):
            return state
        detail = state.detail if isinstance(state, Pending) else state.reason
        if known and detail not in known:
            deadline = min(now + timeout, begun + MOST * timeout)  # a detail may have a number that is new each time
        known.add(detail)
        left = deadline - now
        if isinstance(state, Failed):
            same = state.code, state.subject, state.grace
            if same != failing:
                failing, since = same, now
            left = min(left, since + state.grace - now)
        else:
            failing = None
        if left <= 0:
            return state
        if detail != told:
            told = detail
            on_change(told)
        sleep(min(left, max(pause, min(REST * (now - began), LONGEST_SECONDS))))


def until_done(
    check: Callable[[], State], error: type[TaskError], late: str, hint: str = "", *, timeout: float, **options: Any
) -> None:
    """Call `check` until it returns Done; `options` are those of `until`.

    Raise `error`: with the reason and hint of a Failed, or with `late`, what was missing and `hint`.
    """
    end = until(check, timeout=timeout, **options)
    if isinstance(end, Failed):
        raise end.error or error(end.reason, end.hint or hint)
    if isinstance(end, Pending):
        raise error(f"{late}, without progress for {timeout:.0f} s: {end.detail}.", hint)
