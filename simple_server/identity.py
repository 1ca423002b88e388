"""The identity of a server: its pod, its build and its start time."""

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
    """Read the pod from POD_NAME (default: the host name) and the build from BUILD_ID (default: `source`)."""
    return Identity(_text("POD_NAME") or socket.gethostname(), _text("BUILD_ID") or "source")


def _text(variable: str) -> str:
    # Invalid UTF-8 could not be encoded in a response.
    return os.fsencode(os.environ.get(variable, "")).decode("utf-8", "replace")
