"""Waiting, with a clock that the test turns."""

import pytest

from kubetasks.errors import RolloutError
from kubetasks.terminal.wait import Done, Failed, Pending, State, until, until_done


class Clock:
    """Time passes only when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


def run(states: list[State], timeout: float = 10) -> tuple[State, Clock, list[str]]:
    clock, told = Clock(), list[str]()
    remaining = iter(states)
    last = states[-1]
    end = until(lambda: next(remaining, last), timeout=timeout, pause=1, on_change=told.append, clock=clock, sleep=clock.wait)
    return end, clock, told


def test_what_is_there_already_costs_no_wait() -> None:
    end, clock, _ = run([Done()])
    assert end == Done()
    assert clock.now == 0


def test_it_ends_as_soon_as_it_is_done_and_tells_each_change_once() -> None:
    end, clock, told = run([Pending("0 of 2"), Pending("0 of 2"), Pending("1 of 2"), Done()])
    assert end == Done()
    assert clock.now == 3
    assert told == ["0 of 2", "1 of 2"]


def test_what_cannot_heal_ends_it_at_once() -> None:
    end, clock, _ = run([Pending("starting"), Failed("broken"), Done()])
    assert end == Failed("broken")
    assert clock.now == 1


def test_what_may_heal_ends_it_once_it_has_lasted() -> None:
    crashed = Failed("broken", code="crash", subject="a", grace=3)
    end, clock, told = run([Pending("starting"), crashed])
    assert end == crashed
    assert clock.now == 4
    assert told == ["starting", "broken"]


@pytest.mark.parametrize(
    "between",
    [
        Pending("starting"),
        Failed("b", code="crash", subject="b", grace=3),
        Failed("a", code="crash", subject="a", grace=60),
    ],
)
def test_what_has_healed_in_between_has_not_lasted(between: State) -> None:
    crashed = Failed("a", code="crash", subject="a", grace=3)
    end, clock, _ = run([crashed, crashed, between, crashed, crashed, Done()])
    assert end == Done()
    assert clock.now == 5


def test_at_the_deadline_it_ends_with_what_would_have_had_more_time() -> None:
    slow = Failed("slow", code="slow", grace=60)
    end, clock, _ = run([slow], timeout=10)
    assert end == slow
    assert clock.now == 10


def test_the_deadline_ends_it_with_what_was_missing_and_not_a_moment_later() -> None:
    end, clock, _ = run([Pending("0 of 2")], timeout=2.5)
    assert end == Pending("0 of 2")
    assert clock.now == 2.5


def test_as_long_as_something_new_comes_it_goes_on_and_what_goes_back_and_forth_is_not_new() -> None:
    rising = [Pending(f"{number // 8} of 4") for number in range(32)]
    end, clock, _ = run([*rising, Done()], timeout=10)
    assert (end, clock.now) == (Done(), 32)
    flapping: list[State] = [Pending(f"{number % 2} of 4") for number in range(100)]
    _, clock, _ = run(flapping, timeout=10)
    assert clock.now == 11


def test_a_check_that_takes_long_is_repeated_the_later() -> None:
    clock, began = Clock(), list[float]()

    def check() -> State:
        began.append(clock.now)
        clock.now += 0.5
        return Pending("0 of 90")

    until(check, timeout=4, clock=clock, sleep=clock.wait)
    assert began == [0, 1.5, 3, 4]


def run_until_done(state: State) -> None:
    clock = Clock()
    until_done(lambda: state, RolloutError, "It is not complete", "wait longer", timeout=10, clock=clock, sleep=clock.wait)


def test_what_is_done_in_time_is_no_error() -> None:
    run_until_done(Done())


@pytest.mark.parametrize(
    ("state", "sentence", "hint"),
    [
        (Failed("It crashes.", "read the log"), "It crashes.", "read the log"),
        (Failed("It crashes."), "It crashes.", "wait longer"),
        (Pending("0 of 2 pods"), "It is not complete, with nothing new for 10 s: 0 of 2 pods.", "wait longer"),
    ],
)
def test_an_error_says_what_failed_or_what_was_missing_and_what_to_try(state: State, sentence: str, hint: str) -> None:
    with pytest.raises(RolloutError) as raised:
        run_until_done(state)
    assert (raised.value.sentence, raised.value.hint) == (sentence, hint)
