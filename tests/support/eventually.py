"""Assertions on what the cluster reaches by itself after a while."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from tests.support import answers
from tests.support.answers import REQUESTS
from tests.support.driver import Tasks

PAUSE = 0.2  # seconds
SECONDS = 60  # limit for the cluster

P = ParamSpec("P")
R = TypeVar("R")


def eventually(seconds: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Call the function until its assertions hold, for at most so many seconds; then let the last failure through."""
    return retry(
        wait=wait_fixed(PAUSE), stop=stop_after_delay(seconds), retry=retry_if_exception_type(AssertionError), reraise=True
    )


@eventually(SECONDS)
def answer(url: str, pods: set[str]) -> None:
    """Each of the pods answers at the URL, and no other; no request fails."""
    spread = answers.spread(url, REQUESTS)
    assert (set(spread.requests), spread.failed) == (pods, 0)


@eventually(SECONDS)
def pods_left(tasks: Tasks, number: int) -> None:
    """The terminating pods are gone, and `number` are left."""
    assert len(tasks.pods()) == number


@eventually(SECONDS)
def closed(url: str) -> None:
    """Nothing answers at the URL any more."""
    assert answers.silent(url), f"{url} still answers"
