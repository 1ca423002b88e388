"""Standard output: a line for each request, one that says where the server answers, and one that it is told to stop."""

import contextlib
import json
import os
import select
from collections.abc import Callable
from typing import Any

from simple_server.clock import now

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
LONGEST = 200  # characters of what a client sent
STANDARD_OUTPUT = 1
PATIENCE = 0.1  # seconds for a reader who is late


class _Output:
    """Standard output. A line that nobody takes is dropped: a log that is not read must not keep anybody from an answer."""

    def __init__(self) -> None:
        self._stuck = False

    def __call__(self, line: str) -> None:
        with contextlib.suppress(OSError):
            _, writable, _ = select.select((), (STANDARD_OUTPUT,), (), 0 if self._stuck else PATIENCE)
            self._stuck = not writable
            if writable:
                # a pipe that takes anything takes a line of ours, whole and in one piece
                os.write(STANDARD_OUTPUT, f"{line}\n".encode("ascii", "backslashreplace"))


class Log:
    """In one of options.LOG_FORMATS. What a client sent cannot make lines of its own: it is written as JSON strings."""

    def __init__(self, form: str, probes: bool = False, write: Callable[[str], None] | None = None) -> None:
        self._form, self._probes, self._write = form, probes, write or _Output()

    def request(self, environ: dict[str, Any], path: str, status: str, seconds: float) -> None:
        """One request for `path`, as it was sent, answered."""
        if self._form == "none" or (path in PROBES and not self._probes):
            return
        method, path = environ.get("REQUEST_METHOD", "")[:LONGEST], path[:LONGEST]
        if self._form == "json":
            line = {"time": now("milliseconds"), "client": environ.get("REMOTE_ADDR", ""), "method": method, "path": path}
            self._write(json.dumps(line | {"status": int(status), "ms": round(seconds * 1000, 3)}))
        else:
            self._write(
                f"{now('milliseconds')} {json.dumps(method)[1:-1]} {json.dumps(path)[1:-1]} {status} {seconds * 1000:.3f} ms"
            )

    def serving(self, url: str) -> None:
        """It answers from now on."""
        self._say("serving", f"serving on {url}", url)

    def stopping(self) -> None:
        """It was told to stop: what is asked from now on is what had not heard of it."""
        if self._form != "none":
            self._say("stopping", "stopping", True)

    def _say(self, key: str, text: str, value: object) -> None:
        self._write(json.dumps({"time": now("milliseconds"), key: value}) if self._form == "json" else text)
