"""The identity of a server: its pod, its node, its build and its start time."""

import os
import socket
from dataclasses import dataclass, field

from simple_server.clock import now


@dataclass(frozen=True)
class Identity:
    """`started` is UTC in ISO 8601, to the second."""

    pod: str
    node: str
    build: str
    started: str = field(default_factory=lambda: now("seconds"))


def from_environment() -> Identity:
    """Read the pod from POD_NAME and the node from NODE_NAME (default: the host name), the build from BUILD_ID (`source`)."""
    host = socket.gethostname()
    return Identity(_text("POD_NAME") or host, _text("NODE_NAME") or host, _text("BUILD_ID") or "source")


def _text(variable: str) -> str:
    # Invalid UTF-8 could not be encoded in a response.
    return os.fsencode(os.environ.get(variable, "")).decode("utf-8", "replace")
