"""The WSGI application; any WSGI server can run it."""

from functools import partial

from bottle import Bottle

from simple_server import identity as identities
from simple_server.counter import Counter
from simple_server.faults import Faults
from simple_server.identity import Identity
from simple_server.log import Log
from simple_server.metrics import Metrics
from simple_server.middleware import Application, instrument
from simple_server.page import Page
from simple_server.readiness import Readiness
from simple_server.routes import FAULT_ROUTES, ROUTES, Context, plain_text_error, require_exact_match


def create_app(
    identity: Identity | None = None,
    readiness: Readiness | None = None,
    log: Log | None = None,
    *,
    faults: bool = False,
    close_connections: bool = False,
) -> Application:
    """Create an application with its own counter and metrics; docs/server.md describes its routes.

    `faults` adds the routes that inject faults.
    `close_connections` lets responses close their connection: those of the page and its script, and every response once
    the server stops. PEP 3333 reserves that header to servers, so set it only for a server that accepts it from an
    application.
    """
    identity = identity or identities.from_environment()
    readiness = readiness or Readiness()
    counter = Counter()
    metrics = Metrics(identity, lambda: counter.value)
    context = Context(identity, readiness, counter, metrics, Page(identity), Faults(readiness), close_connections)
    table = ROUTES + FAULT_ROUTES if faults else ROUTES
    methods = {route.path: route.method for route in table}

    app = Bottle()
    app.uninstall("json")  # its filter runs for each response, and no handler needs it
    app.default_error_handler = plain_text_error
    if faults:
        app.add_hook("before_request", context.faults.hang_if_injected)
    app.add_hook("before_request", partial(require_exact_match, methods))
    for route in table:
        app.route(route.path, route.method, partial(route.handler, context))
    return instrument(app, metrics, log, methods, lambda: close_connections and readiness.stopping)
