"""What surrounds each request: metrics, the access log, and the end of kept connections when the server is told to stop."""

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any

from simple_server.log import Log
from simple_server.metrics import Metrics

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]

ALWAYS = [("Cache-Control", "no-store"), ("Vary", "Accept"), ("X-Content-Type-Options", "nosniff")]
OTHER = "other"
CLOSE = ("Connection", "close")


def observed(
    application: Application, metrics: Metrics, log: Log | None, paths: Collection[str], closing: Callable[[], bool]
) -> Application:
    """The application, with every request measured, by one of `paths` or as another, and told to the `log`.

    Where `closing` says so, an answer ends its connection.

    Its answers are whole when it returns, so that the time it took is the time of the answer.
    """

    def application_observed(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        started = time.perf_counter()
        path = environ.get("PATH_INFO", "")  # as it was sent: Bottle changes it
        status = "500 Internal Server Error"

        def start(its_status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            nonlocal status
            status = its_status
            headers += ALWAYS
            if closing() and CLOSE not in headers:
                headers.append(CLOSE)
            return start_response(its_status, headers, *error)

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

    return application_observed
