"""The WSGI application: any WSGI server can carry it."""

import json
import platform
from collections.abc import Callable

import bottle
from bottle import Bottle, HTTPError, request, response

from simple_server import identity as identities
from simple_server import metrics as measured
from simple_server.counter import Counter
from simple_server.faults import Faults
from simple_server.identity import Identity
from simple_server.log import Log
from simple_server.middleware import Application, instrument
from simple_server.page import Page, prefers_html
from simple_server.readiness import Readiness, State

JSON = "application/json"
FRESH = "close"  # the query of a request that wants its connection closed: a browser's script cannot send the header


def create_app(
    identity: Identity | None = None,
    readiness: Readiness | None = None,
    log: Log | None = None,
    *,
    faults: bool = False,
    close_connections: bool = False,
) -> Application:
    """An application with a counter of its own.

    `GET /` counts one request of its lifetime and answers a page or JSON, as docs/server.md describes; `/healthz`,
    `/readyz`, `/metrics` and `/version` do not count, nor does anything else. Errors are plain text. With `faults`,
    `POST /fault/NAME` causes one.
    With `close_connections` the page, what its script asks and every answer after the server is told to stop end their
    connection: PEP 3333 leaves that to servers, so it is for one that takes the header from an application.
    """
    identity = identity or identities.from_environment()
    readiness = readiness or Readiness()
    counter = Counter()
    metrics = measured.Metrics(identity, lambda: counter.value)
    page = Page(identity)
    rest = json.dumps({"pod": identity.pod, "build": identity.build, "started": identity.started})[1:].encode()
    who = {"pod": identity.pod, "build": identity.build}
    version = {**who, "started": identity.started, "python": platform.python_version(), "bottle": bottle.__version__}

    def count() -> str | bytes:
        html = prefers_html(request.environ.get("HTTP_ACCEPT", ""))
        number = counter.next()
        headers = response.headers
        # a kept connection stays with one pod: a reload would never show another
        if close_connections and (html or request.environ.get("QUERY_STRING") == FRESH):
            headers["Connection"] = "close"
        if not html:
            response.content_type = JSON
            return b'{"count": %d, %s' % (number, rest)
        headers["Content-Security-Policy"] = page.policy
        headers["Referrer-Policy"] = "no-referrer"
        return page.render(number)

    def healthz() -> str:
        return _json({"status": "ok", **who})

    def readyz() -> str:
        state = readiness.state
        if state is not State.READY:
            response.status = 503
        return _json({"status": state.name.lower().replace("_", " "), **who})

    def scrape() -> bytes:
        response.content_type = measured.CONTENT_TYPE
        return metrics.text()

    def versions() -> str:
        return _json(version)

    answers: dict[str, Callable[..., object]] = {
        "/": count,
        "/healthz": healthz,
        "/readyz": readyz,
        "/metrics": scrape,
        "/version": versions,
    }
    app = Bottle()
    app.uninstall("json")  # it costs each answer, and one is worth writing by hand
    for path, answer in answers.items():
        app.route(path, "GET", answer)
    allowed = dict.fromkeys(answers, "GET")
    if faults:
        allowed |= _add_faults(app, Faults(readiness))

    def exact() -> None:
        # Bottle would answer HEAD as GET, `get` too, and take `//`, or `/` and bytes that are no UTF-8, for `/`
        method = allowed.get(request.environ["bottle.raw_path"])
        if method is None:
            raise HTTPError(404)
        if request.environ["REQUEST_METHOD"] != method:
            raise HTTPError(405, Allow=method)

    app.add_hook("before_request", exact)

    def plain(error: HTTPError) -> str:
        response.content_type = "text/plain; charset=utf-8"
        return f"{error.status_line}\n"

    app.default_error_handler = plain  # Bottle's own answers with a page
    return instrument(app, metrics, log, frozenset(allowed), lambda: close_connections and readiness.stopping)


def _json(document: dict[str, str]) -> str:
    response.content_type = JSON
    return json.dumps(document)


def _add_faults(app: Bottle, faults: Faults) -> dict[str, str]:
    """Their paths, each with the method that it allows."""
    app.add_hook("before_request", faults.wait)

    def cause(name: str) -> str:
        faults.cause(name)
        return _json({"fault": name})

    paths = {f"/fault/{name}": name for name in Faults.NAMES}
    for path, name in paths.items():
        app.route(path, "POST", lambda name=name: cause(name))
    return dict.fromkeys(paths, "POST")
