"""Measure where the time of one response goes: each part of the application alone, in microseconds."""

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from wsgiref.util import setup_testing_defaults

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bottle import Bottle, request, response

from simple_server.app import create_app
from simple_server.counter import Counter
from simple_server.identity import Identity
from simple_server.log import Log
from simple_server.metrics import Metrics
from simple_server.middleware import Application
from simple_server.page import prefers_html

ROUNDS, TIMES = 7, 20_000
IDENTITY = Identity("a-pod-with-a-usual-name", "a-node-with-a-usual-name", "0123456789ab")


def microseconds(work: Callable[[], object]) -> float:
    """Return the time of one call in the fastest, least disturbed round."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(TIMES):
            work()
        best = min(best, time.perf_counter() - started)
    return best / TIMES * 1e6


def request_to(app: Application) -> Callable[[], object]:
    environ: dict[str, object] = {"PATH_INFO": "/", "HTTP_ACCEPT": "*/*", "wsgi.input": io.BytesIO()}
    setup_testing_defaults(environ)
    return lambda: list(app(environ.copy(), lambda _status, _headers, _error=None: None))


def bare_bottle() -> Application:
    app = Bottle()
    app.uninstall("json")
    app.route("/", "GET", lambda: b"{}")
    made: Application = app
    return made


def guarded_bottle() -> Application:
    app = bare_bottle()
    allowed = {"/": "GET"}

    def exact() -> None:
        if allowed.get(request.environ["bottle.raw_path"]) != request.environ["REQUEST_METHOD"]:
            raise AssertionError

    app.add_hook("before_request", exact)  # type: ignore[attr-defined]
    return app


def content_type() -> None:
    response.content_type = "application/json"


def measure() -> list[tuple[str, float]]:
    """Return (part, microseconds) pairs, starting with the whole response."""
    counter, metrics = Counter(), Metrics(IDENTITY, lambda: 0)
    rest = b'"pod": "a-pod-with-a-usual-name", "build": "0123456789ab", "started": "2026-01-01T00:00:00Z"}'
    log = Log("json", write=lambda _line: None)
    environ: dict[str, object] = {"REQUEST_METHOD": "GET", "REMOTE_ADDR": "127.0.0.1"}

    def measured() -> None:
        metrics.in_flight.inc()
        metrics.in_flight.dec()
        metrics.answered("/", "200")
        metrics.duration.observe(0.0001)

    whole, bottle = microseconds(request_to(create_app(IDENTITY))), microseconds(request_to(bare_bottle()))
    found = [
        ("Bottle alone: route, request, response", bottle),
        ("exact paths and methods (a hook)", microseconds(request_to(guarded_bottle())) - bottle),
        ("metrics: in flight, by path and status, latency", microseconds(measured)),
        ("the count and its lock", microseconds(counter.next)),
        ("the JSON, by hand", microseconds(lambda: b'{"count": %d, %s' % (1234, rest))),
        ("page or JSON: the Accept header", microseconds(lambda: prefers_html("*/*"))),
        ("Content-Type", microseconds(content_type)),
    ]
    rest_of_it = whole - sum(cost for _, cost in found)
    return [
        ("the whole answer", whole),
        *found,
        ("the rest: what surrounds Bottle, its clock, the headers that are always sent", rest_of_it),
        ("not included: a line of the access log", microseconds(lambda: log.request(environ, "/", "200", 0.0001))),
    ]
