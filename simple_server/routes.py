"""The routes: a table of paths, methods and handlers, and the handlers."""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import bottle
from bottle import HTTPError, request, response

from simple_server.counter import Counter
from simple_server.faults import Faults
from simple_server.identity import Identity
from simple_server.metrics import CONTENT_TYPE as PROMETHEUS
from simple_server.metrics import Metrics
from simple_server.page import Page, prefers_html
from simple_server.readiness import Readiness, State

JSON = "application/json"
PLAIN_TEXT = "text/plain; charset=utf-8"
CLOSE_QUERY = "close"  # `GET /?close` closes its connection: a browser's script cannot send the header


@dataclass(slots=True)
class Context:
    """The context of one application's handlers."""

    identity: Identity
    readiness: Readiness
    counter: Counter
    metrics: Metrics
    page: Page
    faults: Faults
    close_connections: bool
    json_tail: bytes = field(init=False)  # of GET /: all but the count stays the same

    def __post_init__(self) -> None:
        identity = self.identity
        constant = {"pod": identity.pod, "node": identity.node, "build": identity.build, "started": identity.started}
        self.json_tail = json.dumps(constant)[1:].encode()


def count(context: Context) -> str | bytes:
    """Count the request; return the page if the client prefers HTML, JSON if not."""
    html = prefers_html(request.environ.get("HTTP_ACCEPT", ""))
    number = context.counter.next()
    # A kept connection stays with one pod: over it, a reload would never show another.
    if context.close_connections and (html or request.environ.get("QUERY_STRING") == CLOSE_QUERY):
        response.headers["Connection"] = "close"
    if html:
        response.headers["Content-Security-Policy"] = context.page.policy
        response.headers["Referrer-Policy"] = "no-referrer"
        return context.page.render(number)
    response.content_type = JSON
    return b'{"count": %d, %s' % (number, context.json_tail)


def healthz(context: Context) -> str:
    """Report that the process is alive."""
    return _status(context, "ok")


def readyz(context: Context) -> str:
    """Report whether the pod should receive traffic."""
    state = context.readiness.state
    if state is not State.READY:
        response.status = 503
    return _status(context, state.name.lower().replace("_", " "))


def metrics(context: Context) -> bytes:
    """Return the metrics in Prometheus' text format."""
    response.content_type = PROMETHEUS
    return context.metrics.text()


def version(context: Context) -> str:
    """Report the identity and the versions of Python and Bottle."""
    identity = context.identity
    return _json(
        {
            "pod": identity.pod,
            "node": identity.node,
            "build": identity.build,
            "started": identity.started,
            "python": platform.python_version(),
            "bottle": bottle.__version__,
        }
    )


def inject(name: str, context: Context) -> str:
    """Inject a fault, one of Faults.NAMES."""
    context.faults.inject(name)
    return _json({"fault": name})


class Route(NamedTuple):
    """A path that answers one method."""

    path: str
    method: str
    handler: Callable[[Context], str | bytes]


ROUTES = (
    Route("/", "GET", count),
    Route("/healthz", "GET", healthz),
    Route("/readyz", "GET", readyz),
    Route("/metrics", "GET", metrics),
    Route("/version", "GET", version),
)
FAULT_ROUTES = tuple(Route(f"/fault/{name}", "POST", partial(inject, name)) for name in Faults.NAMES)


def require_exact_match(methods: Mapping[str, str]) -> None:
    """Reject a request unless its path is a key of `methods` and its method the value.

    Bottle is more lenient: it answers HEAD and `get` as GET, and serves `//`, or `/` followed by invalid UTF-8, as `/`.
    """
    method = methods.get(request.environ["bottle.raw_path"])
    if method is None:
        raise HTTPError(404)
    if request.environ["REQUEST_METHOD"] != method:
        raise HTTPError(405, Allow=method)


def plain_text_error(error: HTTPError) -> str:
    """Return an error as one line of plain text; Bottle's default is an HTML page."""
    response.content_type = PLAIN_TEXT
    return f"{error.status_line}\n"


def _status(context: Context, status: str) -> str:
    return _json({"status": status, "pod": context.identity.pod, "build": context.identity.build})


def _json(document: dict[str, str]) -> str:
    response.content_type = JSON
    return json.dumps(document)
