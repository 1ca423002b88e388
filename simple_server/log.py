"""The log on standard output: one line when the server answers, one per request, one when it begins to stop."""

import contextlib
import json
import os
import select
from collections.abc import Callable
from typing import Any

from simple_server.clock import now

PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
LONGEST = 200  # characters of a method or path, which the client chooses
STANDARD_OUTPUT = 1
PATIENCE = 0.1  # seconds to wait for a reader


class _Output:
    """Write to standard output. Drop the line if the reader is blocked: a stalled reader must never delay responses."""

    def __init__(self) -> None:
        self._stuck = False

    def __call__(self, line: str) -> None:
        with contextlib.suppress(OSError):
            _, writable, _ = select.select((), (STANDARD_OUTPUT,), (), 0 if self._stuck else PATIENCE)
            self._stuck = not writable
            if writable:
                # A writable pipe has room for PIPE_BUF bytes, more than a line of ours: it is written whole.
                os.write(STANDARD_OUTPUT, f"{line}\n".encode("ascii", "backslashreplace"))


class Log:
    """The log in one of options.LOG_FORMATS. Escape client data as JSON strings: it must not be able to forge lines."""

    def __init__(self, form: str, probes: bool = False, write: Callable[[str], None] | None = None) -> None:
        self._form, self._probes, self._write = form, probes, write or _Output()

    def request(self, environ: dict[str, Any], path: str, status: str, seconds: float) -> None:
        """Log a request; `path` is the path as it was sent."""
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
        """Log that the server answers at `url`."""
        self._say("serving", f"serving on {url}", url)

    def stopping(self) -> None:
        """Log that the server begins to stop: requests after this line come from clients that do not know yet."""
        if self._form != "none":
            self._say("stopping", "stopping", True)

    def _say(self, key: str, text: str, value: object) -> None:
        self._write(json.dumps({"time": now("milliseconds"), key: value}) if self._form == "json" else text)
