"""Call a WSGI application without a server."""

import io
import json
from dataclasses import dataclass
from typing import Any
from wsgiref.util import setup_testing_defaults

from simple_server.app import create_app
from simple_server.identity import Identity
from simple_server.middleware import Application

IDENTITY = Identity("pod-1", "node-1", "build-1", "2026-01-02T03:04:05Z")
PATHS = ["/", "/healthz", "/readyz", "/metrics", "/version"]
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def application(**options: Any) -> Application:
    return create_app(IDENTITY, **options)


def call(app: Application, path: str = "/", method: str = "GET", accept: str = "", **more: Any) -> Answer:
    """Send a request; `more` is added to its WSGI environment."""
    environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "wsgi.input": io.BytesIO()}
    if accept:
        environ["HTTP_ACCEPT"] = accept
    environ |= more
    setup_testing_defaults(environ)
    said: list[tuple[str, list[tuple[str, str]]]] = []
    parts = app(environ, lambda status, headers, _error=None: said.append((status, headers)))
    try:
        body = b"".join(parts)
    finally:
        getattr(parts, "close", lambda: None)()
    ((status, headers),) = said
    assert len({name.lower() for name, _ in headers}) == len(headers), f"duplicate header: {headers}"
    return Answer(int(status[:3]), dict(headers), body)


def count_of(app: Application) -> int:
    number: int = call(app).json["count"]
    return number
