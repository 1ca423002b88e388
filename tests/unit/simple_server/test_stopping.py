"""How the process ends: on a signal, by an injected crash, and when it is killed."""

import http.client
import json
import re
import signal
import time
from pathlib import Path

import pytest

from simple_server.limits import Limits
from tests.support.eventually import until
from tests.unit.simple_server.process import GET, SECONDS, received, running, start

LONG = "--drain=600"  # until a second signal ends it
SIGNALS = [signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("number", SIGNALS)
def test_after_a_signal_it_ends_cleanly_with_the_drain_and_not_with_the_shutdown_timeout(number: signal.Signals) -> None:
    with running("--drain=0.5", "--log-format=none", limits=Limits(shutdown_timeout=600)) as server:
        assert server.count() == 1
        before = time.monotonic()
        server.process.send_signal(number)
        assert server.ended() == (0, "", "")
        assert time.monotonic() - before >= 0.5


@pytest.mark.parametrize("number", SIGNALS)
def test_during_the_drain_it_is_not_ready_and_answers_on_new_kept_and_half_used_connections(number: signal.Signals) -> None:
    with running(LONG, "--log-format=none") as server, server.connected() as kept, server.connected() as half:
        kept.sendall(GET)
        assert b'"count": 1' in kept.recv(65536)
        half.sendall(GET[:20])
        server.process.send_signal(number)
        until(lambda: server.get("/readyz")[0].status == 503, SECONDS)
        assert server.get("/healthz")[0].status == 200
        response, body = server.get()
        assert (response.status, json.loads(body)["count"]) == (200, 2)
        assert response.getheader("Connection") == "close", "a kept connection would be cut later"
        kept.sendall(GET)
        assert b'"count": 3' in received(kept), "and then it ends"
        half.sendall(GET[20:])
        assert b'"count": 4' in received(half)
        server.process.send_signal(number)
        assert server.ended() == (0, "", "")


def test_after_the_drain_it_refuses_connections_and_kills_a_hung_worker_after_the_shutdown_timeout() -> None:
    with running("--faults", "--drain=0", limits=Limits(shutdown_timeout=3)) as server, server.connected() as connection:
        assert server.get("/fault/hang", "POST")[0].status == 200
        connection.sendall(GET)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        server.process.terminate()
        until(server.refuses, SECONDS)
        assert server.process.poll() is None, "a request is open"
        assert server.ended()[0] == 0


def test_a_crash_of_the_worker_ends_it_with_a_failure_code() -> None:
    with running("--faults", "--log-format=none") as server:
        with pytest.raises((http.client.HTTPException, OSError)):
            server.get("/fault/crash", "POST")
        code, _, errors = server.ended()
        assert code == 1
        assert "Traceback" not in errors


def test_killed_it_leaves_no_worker_that_answers() -> None:
    with running() as server:
        server.process.kill()
        server.process.communicate(timeout=SECONDS)  # until the worker has closed its output too
        assert server.refuses()


@pytest.mark.parametrize("delay", [[], ["--faults", "--start-delay=600"]], ids=["while it starts", "before it listens"])
@pytest.mark.parametrize("number", SIGNALS)
def test_it_ends_cleanly_before_it_serves(number: signal.Signals, delay: list[str]) -> None:
    process = start("--port=0", "--drain=0", "--log-format=none", *delay)

    def caught() -> bool:
        (signals,) = re.findall(r"SigCgt:\s(\w+)", Path(f"/proc/{process.pid}/status").read_text())
        return bool(int(signals, 16) >> (signal.SIGTERM - 1) & 1)  # SIGTERM's handler is installed last

    until(caught, SECONDS)
    process.send_signal(number)
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
