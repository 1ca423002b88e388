"""Whichever stage a signal ends, what served goes on serving, and the next run makes good."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from kubetasks.terminal.interruption import EXIT_CODE as INTERRUPTED
from tests.support import source
from tests.support.driver import Tasks
from tests.support.marks import exhaustive
from tests.support.processes import ended, started

BUILD = "docker build "  # what --echo prints when the first stage begins
STAGE = re.compile(r"^(\S+)[^\n]*: done \(", re.MULTILINE)  # the first word of a stage's line
DELIVERED = ("Loading", "Delivering")  # which one depends on what the nodes and the registry have from other tests
SECONDS_TO_END = 10


@pytest.mark.promise("Ctrl-C ends a task")
@pytest.mark.parametrize(
    ("number", "times"),
    [
        (signal.SIGINT, 1),
        (signal.SIGKILL, 1),
        pytest.param(signal.SIGINT, 2, marks=exhaustive),
        pytest.param(signal.SIGTERM, 1, marks=exhaustive),
    ],
)
def test_whichever_stage_a_signal_ends_the_next_run_makes_good(
    app: Tasks, tmp_path: Path, number: signal.Signals, times: int
) -> None:
    project = source.changed(tmp_path)
    source.edit_uniquely(project)
    words = ("--echo", "build", "deploy", "expose", "scale", "--replicas=2")  # --echo: a line when the first stage begins
    stages = STAGE.findall(app.typed(*words, folder=project).stderr)
    assert len(stages) >= len(words) - 2, "each of the tasks has one"
    codes = []
    for done in (BUILD, *dict.fromkeys(stages[:-1])):  # the signal comes in the next one
        app.kubectl("delete", "service", "simple-server", "--ignore-not-found")
        app.kubectl("scale", "deployment", "simple-server", "--replicas=1")
        source.edit_uniquely(project)
        with started([sys.executable, "-m", "kubetasks", *words], app.environment, project) as process:
            assert process.stdout
            lines = (line for line in process.stdout if done == BUILD or STAGE.match(line))
            either = DELIVERED if done in DELIVERED else (done,)
            assert any(line.startswith(either) for line in lines), f"it never ended {done}"
            for _ in range(times):
                os.killpg(process.pid, number)
            output = ended(process, SECONDS_TO_END)
        if process.returncode == 0:  # it was done already, and must say so
            assert output.splitlines()[-1].startswith(stages[-1]), output
        else:
            assert process.returncode in (-number, INTERRUPTED), output
        assert "Traceback" not in output
        codes.append(process.returncode)
    assert codes[0] != 0, "the first signal must interrupt"
    app.typed(*words, folder=project)
    assert app.json("diagnose")["code"] == "healthy"
