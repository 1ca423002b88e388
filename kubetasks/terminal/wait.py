"""Wait as long as there is progress: check repeatedly, and stop early if waiting cannot help."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kubetasks.errors import TaskError
from kubetasks.terminal import interruption

PAUSE_FACTOR = 2  # times the duration of a check, as the pause after it
LONGEST_SECONDS = 2.0  # the longest such pause
MOST_TIMEOUTS = 10  # times the timeout, however much progress there is


@dataclass(frozen=True)
class Pending:
    """Not done yet; `detail` says what is missing, for the line shown to the user."""

    detail: str


@dataclass(frozen=True)
class Done:
    """Nothing left to wait for."""

    detail: str = ""


@dataclass(frozen=True)
class Failed:
    """Waiting cannot help once this failure has lasted for `grace` seconds.

    `code` names the kind of failure, and `subject` the object that has it. The failure lasts as long
    as both, and `grace`, stay the same from state to state.
    `error` is the exception to raise, if it is already known.
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
    """Call `check` until it returns Done or a Failed that has lasted, or until `timeout` seconds pass without a new detail.

    Return the last state. A slow machine thus gets the time that it needs, and a state that only alternates times out.
    `on_change` gets each change. Pause between two checks for `pause` seconds, or for twice the duration of a check, up to 2 s:
    while a hundred pods start, the API server and the node are busy.
    """
    begun = clock()
    deadline = begun + timeout
    shown, known = None, set[str]()
    failing, since = None, 0.0
    while True:
        interruption.check()
        began, state, now = clock(), check(), clock()
        if isinstance(state, Done):
            return state
        detail = state.detail if isinstance(state, Pending) else state.reason
        if known and detail not in known:
            # limited: a detail may contain a number that is new each time
            deadline = min(now + timeout, begun + MOST_TIMEOUTS * timeout)
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
        if detail != shown:
            shown = detail
            on_change(shown)
        sleep(min(left, max(pause, min(PAUSE_FACTOR * (now - began), LONGEST_SECONDS))))


def until_done(
    check: Callable[[], State], error: type[TaskError], late: str, hint: str = "", *, timeout: float, **options: Any
) -> None:
    """Call `check` until it returns Done; `options` are those of `until`.

    Otherwise raise a Failed's own error, or `error` with its reason and hint, or with `late`, what is missing and `hint`.
    """
    end = until(check, timeout=timeout, **options)
    if isinstance(end, Failed):
        raise end.error or error(end.reason, end.hint or hint)
    if isinstance(end, Pending):
        raise error(f"{late}, without progress for {timeout:.0f} s: {end.detail}.", hint)
