"""Waiting, with a clock that the test controls."""

import pytest

from kubetasks.errors import RolloutError
from kubetasks.terminal.wait import Done, Failed, Pending, State, until, until_done


class Clock:
    """A clock that advances only when something waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


NONE, ONE, STARTING = Pending("0 of 2"), Pending("1 of 2"), Pending("starting")
BROKEN, SLOW = Failed("broken"), Failed("slow", code="slow", grace=60)
CRASHED = Failed("a", code="crash", subject="a", grace=3)
OTHER, PATIENT = Failed("b", code="crash", subject="b", grace=3), Failed("a", code="crash", subject="a", grace=60)
RISING, FLAPPING = [Pending(f"{number // 8} of 4") for number in range(32)], [NONE, ONE] * 50


@pytest.mark.parametrize(
    ("states", "timeout", "end", "seconds", "told"),
    [
        pytest.param([Done()], 10, Done(), 0, [], id="what is there already costs no wait"),
        pytest.param([NONE, NONE, ONE, Done()], 10, Done(), 3, ["0 of 2", "1 of 2"], id="as soon as done, each change told once"),
        pytest.param([STARTING, BROKEN, Done()], 10, BROKEN, 1, ["starting"], id="what cannot heal ends it at once"),
        pytest.param([STARTING, CRASHED], 10, CRASHED, 4, ["starting", "a"], id="what may heal ends it once it has lasted"),
        *(
            pytest.param([CRASHED, CRASHED, between, CRASHED, CRASHED, Done()], 10, Done(), 5, None, id=f"healed: {between}")
            for between in (STARTING, OTHER, PATIENT)
        ),
        pytest.param([SLOW], 10, SLOW, 10, ["slow"], id="at the deadline also what would have had more time"),
        pytest.param([NONE], 2.5, NONE, 2.5, ["0 of 2"], id="not a moment after the deadline"),
        pytest.param([*RISING, Done()], 10, Done(), 32, None, id="as long as something new comes it goes on"),
        pytest.param(FLAPPING, 10, ONE, 11, None, id="what goes back and forth is not new"),
    ],
)
def test_a_wait_ends_when_waiting_does_not_help(
    states: list[State], timeout: float, end: State, seconds: float, told: list[str] | None
) -> None:
    clock, said, remaining = Clock(), list[str](), iter(states)
    found = until(
        lambda: next(remaining, states[-1]), timeout=timeout, pause=1, on_change=said.append, clock=clock, sleep=clock.wait
    )
    assert (found, clock.now) == (end, seconds)
    assert told is None or said == told


def test_a_check_that_takes_long_is_repeated_the_later() -> None:
    clock, began = Clock(), list[float]()

    def check() -> State:
        began.append(clock.now)
        clock.now += 0.5
        return Pending("0 of 90")

    until(check, timeout=4, clock=clock, sleep=clock.wait)
    assert began == [0, 1.5, 3, 4]


def test_a_failure_without_a_hint_of_its_own_gets_that_of_the_wait() -> None:
    with pytest.raises(RolloutError) as raised:
        until_done(lambda: Failed("It crashes."), RolloutError, "It is late", "wait longer", timeout=10)
    assert (raised.value.sentence, raised.value.hint) == ("It crashes.", "wait longer")
