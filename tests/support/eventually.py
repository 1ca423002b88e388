"""Wait for something that happens by itself: until a condition holds, or until assertions do."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tenacity import Retrying, retry, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from tests.support import answers
from tests.support.driver import Tasks

PAUSE = 0.2  # seconds
SHORT_PAUSE = 0.02  # seconds; short enough to act in a moment that soon passes
SECONDS = 60  # timeout for the cluster

P = ParamSpec("P")
R = TypeVar("R")


def eventually(seconds: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function so that a call repeats it until its assertions hold; after `seconds`, the last failure is raised."""
    return retry(
        wait=wait_fixed(PAUSE), stop=stop_after_delay(seconds), retry=retry_if_exception_type(AssertionError), reraise=True
    )


def until(happened: Callable[[], bool], timeout: float = 90) -> None:
    """Wait until the condition holds; a missing file means that it does not. Raises RetryError after `timeout` seconds."""
    gone, no = retry_if_exception_type(FileNotFoundError), retry_if_result(lambda held: not held)
    Retrying(wait=wait_fixed(SHORT_PAUSE), stop=stop_after_delay(timeout), retry=gone | no)(happened)


@eventually(SECONDS)
def answer(url: str, pods: set[str]) -> None:
    """Wait until each of these pods, and no other, answers at the URL, and no request fails."""
    spread = answers.spread(url, answers.REQUESTS)
    assert (set(spread.requests), spread.failed) == (pods, 0)


@eventually(SECONDS)
def pods_left(tasks: Tasks, number: int) -> None:
    """Wait until the terminating pods are gone and `number` pods are left."""
    assert len(tasks.pods()) == number
