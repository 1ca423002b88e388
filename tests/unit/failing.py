"""What fails in the place of something else."""

from collections.abc import Callable
from typing import Any


def raising(error: BaseException) -> Callable[..., Any]:
    """A function that raises that, whatever it is given."""

    def fail(*_given: object, **_more: object) -> None:
        raise error

    return fail
