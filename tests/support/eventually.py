"""Wait for what happens by itself: a condition, or assertions that hold after a while."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tenacity import Retrying, retry, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from tests.support import answers
from tests.support.driver import Tasks

PAUSE = 0.2  # seconds
SHORT_PAUSE = 0.02  # before a moment is over in which something must be done
SECONDS = 60  # limit for the cluster

P = ParamSpec("P")
R = TypeVar("R")


def eventually(seconds: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Call the function until its assertions hold, for at most so many seconds; then let the last failure through."""
    return retry(
        wait=wait_fixed(PAUSE), stop=stop_after_delay(seconds), retry=retry_if_exception_type(AssertionError), reraise=True
    )


def until(happened: Callable[[], bool], timeout: float = 90) -> None:
    """Wait until the condition holds, for at most `timeout` seconds; it does not if a file that it looks at is gone."""
    gone, no = retry_if_exception_type(FileNotFoundError), retry_if_result(lambda held: not held)
    Retrying(wait=wait_fixed(SHORT_PAUSE), stop=stop_after_delay(timeout), retry=gone | no)(happened)


@eventually(SECONDS)
def answer(url: str, pods: set[str]) -> None:
    """Each of the pods answers at the URL, and no other; no request fails."""
    spread = answers.spread(url, answers.REQUESTS)
    assert (set(spread.requests), spread.failed) == (pods, 0)


@eventually(SECONDS)
def pods_left(tasks: Tasks, number: int) -> None:
    """The terminating pods are gone, and `number` are left."""
    assert len(tasks.pods()) == number
