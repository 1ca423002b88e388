"""The server as a process of its own, on a free port."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kubetasks.settings import PROJECT

COMMAND = [sys.executable, "-m", "simple_server"]
ENVIRONMENT = {"PATH": os.environ["PATH"], "POD_NAME": "pod-1", "BUILD_ID": "build-1"}
SECONDS = 30  # that anything may take before it counts as stuck


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[str]
    port: int

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=SECONDS) as connection:
            yield connection

    def send(self, data: bytes) -> bytes:
        """All that comes back until the connection ends."""
        with self.connected() as connection:
            connection.sendall(data)
            return received(connection)

    def get(self, path: str = "/", method: str = "GET", accept: str = "") -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SECONDS)
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    def count(self) -> int:
        """One more request, counted."""
        number: int = json.loads(self.get()[1])["count"]
        return number

    def ended(self) -> tuple[int, str, str]:
        """Exit code, standard output and error, once it has ended."""
        output, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, output, errors


def received(connection: socket.socket) -> bytes:
    """All that comes until the connection ends."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def refused(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a server that does not start says."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=PROJECT, env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=SECONDS
    )


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=PROJECT,
        env=ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[Server]:
    process = start("--port=0", *arguments, **environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://.+:(\d+)/", line)
        assert found, f"{line} {process.communicate(timeout=SECONDS)}"
        yield Server(process, int(found[1]))
    finally:
        process.kill()  # its worker ends with it
        process.communicate(timeout=SECONDS)


def lines(output: str) -> Sequence[dict[str, Any]]:
    """Of a log in JSON."""
    return [json.loads(line) for line in output.splitlines()]
