"""The servers to compare; each runs as a separate program: `python serving.py NAME PORT`."""

import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from simple_server import listening, serve
from simple_server.app import create_app
from simple_server.limits import DEFAULTS
from simple_server.log import Log
from simple_server.middleware import Application
from simple_server.readiness import Readiness

HOST = "127.0.0.1"
BODY = b'{"count": 1, "pod": "a-pod-with-a-usual-name", "build": "0123456789ab", "started": "2026-01-01T00:00:00Z"}'
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]
WAITRESS_THREADS = 4  # its default


def bare(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Return the same bytes for every request: what the server costs without an application."""
    start_response("200 OK", HEADERS[:])
    return [BODY]


def under_granian(load: Callable[[], Application], port: int) -> None:
    listener = listening.listen(HOST, port, DEFAULTS.write_timeout)
    serve.run(load, Readiness(), listener, 0, lambda: None, lambda: None, DEFAULTS)


def under_waitress(app: Application, port: int) -> None:
    import waitress

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a warning for each request that waits
    waitress.serve(app, host=HOST, port=port, threads=WAITRESS_THREADS)


def under_bjoern(app: Application, port: int) -> None:
    import bjoern

    bjoern.run(app, HOST, port)


SERVERS: dict[str, Callable[[int], None]] = {
    "simple_server": lambda port: under_granian(create_app, port),
    "simple_server, access log": lambda port: under_granian(lambda: create_app(log=Log("json")), port),
    "the same under waitress": lambda port: under_waitress(create_app(), port),
    "the same under bjoern": lambda port: under_bjoern(create_app(), port),
    "bare granian": lambda port: under_granian(lambda: bare, port),
    "bare waitress": lambda port: under_waitress(bare, port),
    "bare bjoern": lambda port: under_bjoern(bare, port),
}

if __name__ == "__main__":
    SERVERS[sys.argv[1]](int(sys.argv[2]))
