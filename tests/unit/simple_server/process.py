"""Run the server as a process, on a free port."""

import errno
import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from simple_server.limits import Limits
from tasks import PROJECT

COMMAND = [sys.executable, "-m", "simple_server"]
LIMITED = "import sys; from simple_server.__main__ import main; from simple_server.limits import Limits; sys.exit(main({}))"
ENVIRONMENT = {"PATH": os.environ["PATH"], "POD_NAME": "pod-1", "NODE_NAME": "node-1", "BUILD_ID": "build-1"}
SECONDS = 30  # after which a test counts as stuck
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    port: int

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as connection:
            yield connection

    def send(self, data: bytes) -> bytes:
        """Send bytes and return everything received until the connection ends."""
        with self.connected() as connection:
            connection.sendall(data)
            return received(connection)

    def get(self, path: str = "/", method: str = "GET") -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    def count(self) -> int:
        """Send a request that counts and return the count."""
        number: int = json.loads(self.get()[1])["count"]
        return number

    def refuses(self) -> bool:
        """Return whether its port refuses connections."""
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == errno.ECONNREFUSED

    def ended(self) -> tuple[int, str, str]:
        """Wait for the end of the process; return its exit code, standard output and standard error."""
        output, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, output, errors


def received(connection: socket.socket) -> bytes:
    """Return everything received until the connection ends."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def refused(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a server that is expected not to start."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=PROJECT.folder, env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=SECONDS
    )


def start(*arguments: str, limits: Limits | None = None, **environment: str) -> subprocess.Popen[str]:
    """Start a server; `limits` replaces its own, so that a test of a timeout need not wait as long as a client would."""
    return subprocess.Popen(
        [*([sys.executable, "-c", LIMITED.format(limits)] if limits else COMMAND), *arguments],
        cwd=PROJECT.folder,
        env=ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(*arguments: str, limits: Limits | None = None, **environment: str) -> Iterator[Server]:
    """Run a server until the end of the block; `limits` as in `start`."""
    process = start("--port=0", *arguments, limits=limits, **environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://.+:(\d+)/", line)
        assert found, f"{line} {process.communicate(timeout=SECONDS)}"
        yield Server(process, int(found[1]))
    finally:
        process.kill()  # its worker ends with it
        process.communicate(timeout=SECONDS)
