"""The log on standard output."""

import json

import pytest

from simple_server.log import Log
from tests.unit.simple_server.process import SECONDS, lines, running
from tests.unit.simple_server.wsgi import application, call


def test_a_line_of_json_for_each_request_except_probes() -> None:
    with running() as server:
        for path in ("/healthz", "/readyz", "/metrics", "/", "/nothing"):
            server.get(path)
        server.process.terminate()
        _, output, errors = server.ended()
    first, second, last = lines(output)
    assert (first["method"], first["path"], first["status"], first["client"]) == ("GET", "/", 200, "127.0.0.1")
    assert (second["path"], second["status"]) == ("/nothing", 404)
    assert 0 < first["ms"] < 1000
    assert first["time"].endswith("Z")
    assert last["stopping"] is True
    assert errors == ""


def test_the_first_line_contains_the_url() -> None:
    written = list[str]()
    Log("json", write=written.append).serving("http://127.0.0.1:1/")
    Log("text", write=written.append).serving("http://127.0.0.1:1/")
    assert json.loads(written[0])["serving"] == "http://127.0.0.1:1/"
    assert written[1] == "serving on http://127.0.0.1:1/"


def test_probes_are_logged_on_request() -> None:
    written = list[str]()
    call(application(log=Log("json", probes=True, write=written.append)), "/healthz")
    assert json.loads(written[0])["path"] == "/healthz"


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_client_cannot_forge_lines(form: str) -> None:
    written = list[str]()
    call(application(log=Log(form, write=written.append)), '/a\nb"\x1b[31m' + 5000 * "x", "P\rT")
    (line,) = written
    assert line.isprintable()
    assert len(line) < 1000


def test_none_writes_nothing() -> None:
    with running("--log-format=none") as server:
        server.get()
        server.process.terminate()
        assert server.ended() == (0, "", "")


def test_a_blocked_log_delays_neither_responses_nor_the_end() -> None:
    with running() as server:
        many = 2000  # their lines are more than a pipe holds
        request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        server.send(request * (many - 1) + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert server.count() == many + 1
        server.process.terminate()
        assert server.process.wait(SECONDS) == 0


def test_a_closed_log_does_not_affect_responses() -> None:
    with running() as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        assert [server.count() for _ in range(3)] == [1, 2, 3]
