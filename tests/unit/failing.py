"""Stand-ins that fail."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock


def raising(error: BaseException) -> Callable[..., Any]:
    """Return a function that raises `error`, whatever its arguments."""
    return Mock(side_effect=error)
