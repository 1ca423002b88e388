"""A removal that a signal ends is completed by the next one."""

import os
import signal

import pytest

from kubetasks.terminal.interruption import EXIT_CODE as INTERRUPTED
from tests.support.driver import Tasks
from tests.support.processes import begun, ended, until_line

SECONDS_TO_END = 10


@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (signal.SIGTERM, signal.SIGKILL))],
)
def test_a_removal_that_a_signal_ends_is_completed_by_the_next_one(app: Tasks, number: signal.Signals) -> None:
    app("build", "deploy", "expose")
    with begun(app, "unexpose", "undeploy") as process:
        until_line(process, "Waiting until its addresses are closed: done")
        os.killpg(process.pid, number)  # while the pod drains
        output = ended(process, SECONDS_TO_END)
    assert process.returncode in (-number, INTERRUPTED), output
    assert "Traceback" not in output
    app("unexpose", "undeploy")
    assert app.get("deployments,replicasets,pods,services,poddisruptionbudgets")["items"] == []
