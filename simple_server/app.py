"""The WSGI application: any WSGI server can carry it."""

from typing import Any

from bottle import Bottle, HTTPError, response

from simple_server.counter import Counter


def create_app(pod: str, build: str) -> Bottle:
    """An application with a counter of its own.

    `GET /` counts and answers `{"count": int, "pod": str, "build": str}`; `GET /healthz` answers
    `{"status": "ok", "pod": str, "build": str}` and does not count, as nothing else does. Errors are plain text.
    """
    app = Bottle()
    counter = Counter()

    def count() -> dict[str, Any]:
        response.set_header("Cache-Control", "no-store")
        return {"count": counter.next(), "pod": pod, "build": build}

    def healthz() -> dict[str, Any]:
        response.set_header("Cache-Control", "no-store")
        return {"status": "ok", "pod": pod, "build": build}

    def head() -> None:
        raise HTTPError(405)

    for path, answer in (("/", count), ("/healthz", healthz)):
        app.route(path, "GET", answer)
        app.route(path, "HEAD", head)  # Bottle would answer it as GET, and count it

    def plain(error: HTTPError) -> str:
        response.content_type = "text/plain; charset=utf-8"
        if error.status_code == 405:
            response.set_header("Allow", "GET")
        return f"{error.status_line}\n"

    app.default_error_handler = plain  # Bottle's own answers with a page
    return app
