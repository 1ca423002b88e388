"""WSGI middleware: metrics, access log, common headers, and the end of kept connections while the server stops."""

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from simple_server.log import Log
from simple_server.metrics import Metrics

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

COMMON_HEADERS = [("Cache-Control", "no-store"), ("Vary", "Accept"), ("X-Content-Type-Options", "nosniff")]
CLOSE = ("Connection", "close")
OTHER = "other"  # the label of every path that is not a route


def instrument(
    application: Application, metrics: Metrics, log: Log | None, paths: Collection[str], closing: Callable[[], bool]
) -> Application:
    """Wrap an application: measure and log each request, and add the common headers to each response.

    The metrics name each path in `paths` and count every other one as OTHER. While `closing` returns true, each
    response closes its connection. The application must return its response complete, not as a stream: the time until
    it returns is recorded as the duration.
    """

    def instrumented(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        path = environ.get("PATH_INFO", "")  # read first: Bottle rewrites it
        status = "500 Internal Server Error"

        def start(response_status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal status
            status = response_status
            headers += COMMON_HEADERS
            if closing() and CLOSE not in headers:
                headers.append(CLOSE)
            return start_response(response_status, headers, *exc_info)

        metrics.in_flight.inc()
        try:
            return application(environ, start)
        finally:
            metrics.in_flight.dec()
            seconds = time.perf_counter() - started
            metrics.answered(path if path in paths else OTHER, status[:3])
            metrics.duration.observe(seconds)
            if log:
                log.request(environ, path, status[:3], seconds)

    return instrumented
