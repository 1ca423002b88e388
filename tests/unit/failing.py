"""What fails in the place of something else."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock


def raising(error: BaseException) -> Callable[..., Any]:
    """A function that raises that, whatever it is given."""
    return Mock(side_effect=error)
