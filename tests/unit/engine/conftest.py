"""A fake engine on the socket in DOCKER_HOST, which expects an exact list of requests and checks at the end that it got them."""

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from kubetasks.engine import client

Exchange = tuple[str, int, Any]  # method, path and query; status; answer


class Script:
    """The expected requests with their answers, and the requests and bodies that arrived."""

    def __init__(self) -> None:
        self.version = "1.48"  # of the engine's API
        self.expected: list[Exchange] = []
        self.asked: list[str] = []
        self.bodies: list[Any] = []
        self.ends = False  # whether the connection ends in the middle of an answer

    def answer(self, request: str, body: Any) -> tuple[int, Any]:
        self.asked.append(request)
        self.bodies.append(body)
        return self.expected[len(self.asked) - 1][1:] if len(self.asked) <= len(self.expected) else (500, {})


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    made = Script()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # send each answer whole: a client that reads only its first line may close the connection

        def _answer(self) -> None:
            parts = urlsplit(self.path)
            query = "&".join(f"{key}={value}" for key, value in sorted(parse_qsl(parts.query)))
            request = f"{self.command} {parts.path.partition('/v1.48')[2]}{'?' if query else ''}{query}"
            pinged = parts.path.endswith("/_ping")
            status, answer = (200, b"") if pinged else made.answer(request, self._body())
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Api-Version", made.version)
            self.send_header("Builder-Version", "2")
            self.send_header("X-Docker-Container-Path-Stat", "e30=")  # for a file in a container
            self.send_header("Content-Type", "application/octet-stream" if isinstance(answer, bytes) else "application/json")
            if data and status == 200:  # chunked, like a stream: the SDK takes any other body for an error
                self.send_header("Transfer-Encoding", "chunked")
                data = b"%x\r\n%b\r\n%b" % (len(data), data, b"" if made.ends else b"0\r\n\r\n")
            else:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            self.close_connection = made.ends

        def _body(self) -> Any:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return json.loads(body) if self.headers.get("Content-Type") == "application/json" and body else body

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815  the names that the server looks for

        def log_message(self, *_: object) -> None:
            pass

    address = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{address}")
    with socketserver.ThreadingUnixStreamServer(str(address), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        server.shutdown()
    assert made.asked == [request for request, _, _ in made.expected]


@pytest.fixture
def engine(script: Script) -> client.Engine:  # noqa: ARG001
    return client.connect()
