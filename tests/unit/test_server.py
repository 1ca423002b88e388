"""The server: at WSGI level, and as a process of its own on a free port."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from kubetasks.settings import PROJECT
from simple_server.app import create_app
from simple_server.counter import Counter


def call(app: Any, path: str = "/", method: str = "GET") -> tuple[str, dict[str, str], bytes]:
    environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method}
    setup_testing_defaults(environ)
    answer: list[Any] = []
    body = b"".join(app(environ, lambda status, headers, _error=None: answer.extend([status, dict(headers)])))
    return answer[0], answer[1], body


def test_it_counts_from_one_and_says_who_it_is() -> None:
    app = create_app("pod-1", "build-1")
    assert [json.loads(call(app)[2]) for _ in range(2)] == [
        {"count": 1, "pod": "pod-1", "build": "build-1"},
        {"count": 2, "pod": "pod-1", "build": "build-1"},
    ]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/healthz", "200"), ("HEAD", "/", "405"), ("POST", "/", "405"), ("GET", "/favicon.ico", "404")],
)
def test_nothing_but_get_of_the_root_counts(method: str, path: str, status: str) -> None:
    app = create_app("pod-1", "build-1")
    assert call(app, path, method)[0].startswith(status)
    assert json.loads(call(app)[2])["count"] == 1


def test_a_wrong_method_is_told_the_right_one() -> None:
    for method in ("HEAD", "POST"):
        assert call(create_app("p", "b"), "/", method)[1]["Allow"] == "GET"


class Switching(int):
    """A number that lets another thread run in the middle of each addition, where a count without a lock goes wrong."""

    def __add__(self, other: int) -> "Switching":
        os.sched_yield()
        time.sleep(0)  # lets go of the interpreter's lock
        return Switching(int(self) + other)


def test_every_number_is_given_once_however_many_ask() -> None:
    counter, numbers = Counter(), list[int]()
    counter._count = Switching(0)
    threads = [threading.Thread(target=lambda: numbers.extend(counter.next() for _ in range(200))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(1, 16 * 200 + 1))


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "simple_server", "--port=0", *arguments],
        cwd=PROJECT,
        env={**os.environ, "POD_NAME": "pod-1", "BUILD_ID": "build-1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        yield process, int(line.rsplit(":", 1)[1])
    finally:
        process.kill()
        process.communicate()


def get(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/")
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def test_requests_over_many_connections_at_once_are_counted_exactly() -> None:
    with running() as (_, port):
        counts = list[int]()
        threads = [threading.Thread(target=lambda: counts.extend(get(port)["count"] for _ in range(20))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(counts) == list(range(1, 161))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told(number: signal.Signals) -> None:
    with running() as (process, port):
        assert get(port)["pod"] == "pod-1"
        process.send_signal(number)
        _, errors = process.communicate(timeout=3)
        assert (process.returncode, errors) == (0, "")


def test_a_taken_port_is_one_sentence() -> None:
    with running() as (_, port):
        second = subprocess.run(
            [sys.executable, "-m", "simple_server", f"--port={port}"], cwd=PROJECT, capture_output=True, text=True
        )
    assert second.returncode == 3
    assert second.stderr.startswith(f"Cannot listen on 127.0.0.1:{port}")
    assert "Traceback" not in second.stderr


@pytest.mark.parametrize("port", ["-1", "65536", "web"])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "simple_server", f"--port={port}"], cwd=PROJECT, capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
