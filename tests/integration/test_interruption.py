"""A task that is told to end while it makes a cluster takes back what is half made."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from kubetasks import wait
from kubetasks.settings import PROJECT
from tests.integration.conftest import Snapshot, Throwaway


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["Ensuring node image", "Preparing nodes", "Starting control-plane"])
def test_nothing_half_made_stays(
    snapshot: Callable[[], Snapshot], throwaway: Throwaway, number: signal.Signals, moment: str
) -> None:
    before = snapshot()
    log = throwaway.settings.cache / "logs" / f"kind-{throwaway.name}.log"
    process = subprocess.Popen(
        [sys.executable, "-m", "invoke", "start"],
        cwd=PROJECT,
        env={**os.environ, **throwaway.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )
    try:
        wait.until(
            lambda: wait.Done() if log.exists() and moment in log.read_text() else wait.Pending("not there yet"),
            timeout=60,
            longest_pause=0.02,
        )
        os.killpg(process.pid, number)  # the whole group, as a terminal does
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
        log.unlink(missing_ok=True)
    assert process.returncode != 0
    assert "Traceback" not in output
    assert snapshot().since(before) == {}
