"""Which pod this is, what it was built from and since when it runs."""

import os
import socket
from dataclasses import dataclass, field

from simple_server.clock import now


@dataclass(frozen=True)
class Identity:
    """`started` is UTC in ISO 8601, to the second."""

    pod: str
    build: str
    started: str = field(default_factory=lambda: now("seconds"))


def from_environment() -> Identity:
    """The pod is POD_NAME or the host's name, the build BUILD_ID or `source`."""
    return Identity(_text("POD_NAME") or socket.gethostname(), _text("BUILD_ID") or "source")


def _text(variable: str) -> str:
    # bytes that are no UTF-8 could not be sent
    return os.fsencode(os.environ.get(variable, "")).decode("utf-8", "replace")
