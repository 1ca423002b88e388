"""A gate in front of the container engine: it sees each request, and closes at a chosen one."""

import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from hostengine.engine import SOCKET

REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|DELETE) /(?:v[0-9.]+/)?([^ ?]*)\S* HTTP/1\.1\r\n")
VARIABLE = re.compile(r"(?<=/)[^/]*(?:[0-9a-f]{12}|[-:.])[^/]*")  # the part of a path that names one container, image or network


class Gate:
    """Listens at `host`. `requests` are the kinds of requests that have arrived, each once.

    When a request of the kind `closes_at` arrives, the engine seems dead until `open`: that request gets no answer, connections
    end, and new ones are refused. `then` is called once, at the first request of another kind after one of the kind `after`.
    """

    def __init__(self, path: Path) -> None:
        self.host = f"unix://{path}"
        self._path = path
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self.open()

    def open(self, closes_at: str = "", after: str = "", then: Callable[[], object] | None = None) -> None:
        """Let every request through until one of the kind `closes_at`."""
        self.close()
        self.requests: list[str] = []
        self.closes_at, self.after, self.then, self.closed = closes_at, after, then, False
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self._path))
        listener.listen()
        self._sockets.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """Let no request through: end all connections, and refuse new ones."""
        self.closed = True
        self._path.unlink(missing_ok=True)
        with self._lock:
            while self._sockets:
                with contextlib.suppress(OSError), self._sockets.pop() as one:
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the gate closed
            while True:
                inside, _ = listener.accept()
                outside = socket.socket(socket.AF_UNIX)
                outside.connect(urlsplit(os.environ.get("DOCKER_HOST", str(SOCKET))).path)
                with self._lock:
                    self._sockets += [inside, outside]
                for ends in ((inside, outside), (outside, inside)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._closes(data):
                    self.close()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _closes(self, data: bytes) -> bool:
        """Note the request that starts here, if one does; return whether the gate closes at it."""
        found = REQUEST.match(data)
        if not found:
            return False
        kind = f"{found[1].decode()} {VARIABLE.sub('*', found[2].decode())}"
        if self.then and self.after in self.requests and kind != self.after:
            then, self.then = self.then, None
            then()
        if kind not in self.requests:
            self.requests.append(kind)
        return kind == self.closes_at
