"""What the cluster comes to by itself, after a while."""

from collections.abc import Callable
from typing import Any

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

PAUSE = 0.2  # seconds


def eventually(seconds: float) -> Callable[..., Any]:
    """Calls the function until its assertions hold; after so long it fails as they do."""
    return retry(
        wait=wait_fixed(PAUSE), stop=stop_after_delay(seconds), retry=retry_if_exception_type(AssertionError), reraise=True
    )
