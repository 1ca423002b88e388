"""The log on standard output."""

import json
import re

import pytest

from simple_server.log import Log
from tests.unit.simple_server.process import GET, LAST, SECONDS, running
from tests.unit.simple_server.wsgi import application, call


def test_a_line_of_json_for_each_request_except_probes() -> None:
    with running() as server:
        for path in ("/healthz", "/readyz", "/metrics", "/", "/nothing"):
            server.get(path)
        server.process.terminate()
        _, output, errors = server.ended()
    first, second, last = [json.loads(line) for line in output.splitlines()]
    assert (first["method"], first["path"], first["status"], first["client"]) == ("GET", "/", 200, "127.0.0.1")
    assert (second["path"], second["status"]) == ("/nothing", 404)
    assert 0 < first["ms"] < 1000
    assert first["time"].endswith("Z")
    assert last["stopping"] is True
    assert errors == ""


def test_a_line_of_text_for_each_request_with_probes_if_wanted() -> None:
    with running("--log-format=text", "--log-probes", "--drain=0") as server:
        server.get("/healthz")
        server.process.terminate()
        _, output, _ = server.ended()
    assert re.fullmatch(r"\S+Z GET /healthz 200 \d+\.\d{3} ms\nstopping\n", output)


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_client_cannot_forge_lines(form: str) -> None:
    written = list[str]()
    call(application(log=Log(form, write=written.append)), '/a\nb"\x1b[31m' + 5000 * "x", "P\rT")
    (line,) = written
    assert line.isprintable()
    assert len(line) < 1000


def test_a_blocked_log_delays_neither_responses_nor_the_end() -> None:
    with running() as server:
        many = 2000  # more log lines than a pipe holds
        server.send(GET * (many - 1) + LAST)
        assert server.count() == many + 1
        server.process.terminate()
        assert server.process.wait(SECONDS) == 0


def test_a_closed_log_does_not_affect_responses() -> None:
    with running() as server:
        assert server.process.stdout is not None
        server.process.stdout.close()
        assert [server.count() for _ in range(3)] == [1, 2, 3]
