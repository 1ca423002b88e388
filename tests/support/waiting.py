"""Wait for what happens by itself."""

import contextlib
from collections.abc import Callable

from kubetasks.terminal import wait


def until(happened: Callable[[], bool], timeout: float = 90) -> None:
    """Wait until the condition holds, for at most `timeout` seconds."""

    def check() -> wait.State:
        with contextlib.suppress(FileNotFoundError):  # another process has removed what is looked at
            if happened():
                return wait.Done()
        return wait.Pending("not yet")

    assert isinstance(wait.until(check, timeout=timeout, pause=0.02), wait.Done)
