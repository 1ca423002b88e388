"""An interrupted `start` removes what it created, and nothing else."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kubetasks.terminal.interruption import CLEANING
from kubetasks.terminal.interruption import EXIT_CODE as INTERRUPTED
from tests.support.driver import Tasks, docker
from tests.support.eventually import until
from tests.support.processes import PHASES, creating, ended, until_line
from tests.support.snapshot import Snapshot

SECONDS_TO_CLEAN_UP = 60  # for a half-created cluster
MOMENTS = [  # and whether a second signal arrives during the clean-up
    (signal.SIGTERM, PHASES[1], False),
    (signal.SIGINT, PHASES[1], True),
    pytest.param(signal.SIGINT, PHASES[0], False, marks=pytest.mark.exhaustive),
    pytest.param(signal.SIGINT, PHASES[2], False, marks=pytest.mark.exhaustive),
    pytest.param(signal.SIGTERM, PHASES[0], False, marks=pytest.mark.exhaustive),
    pytest.param(signal.SIGTERM, PHASES[2], False, marks=pytest.mark.exhaustive),
    pytest.param(signal.SIGHUP, PHASES[2], True, marks=pytest.mark.exhaustive),
]


def anonymous_volumes(tasks: Tasks) -> set[str]:
    """Return the volumes that the cluster's nodes have so far: they carry neither its name nor a label."""
    mounts = docker("ps", "--all", "--no-trunc", f"--filter=name={tasks.cluster}", "--format={{.Mounts}}")
    return set(re.findall(r"\b[0-9a-f]{64}\b", mounts))


@pytest.mark.promise("Ctrl-C ends a task")
@pytest.mark.parametrize(("number", "phase", "again"), MOMENTS)
def test_an_interrupted_start_cleans_up_and_a_second_signal_does_not_disturb_that(
    snapshot_of: Callable[[], Snapshot], throwaway: Tasks, home: Path, number: signal.Signals, phase: str, again: bool
) -> None:
    (home / ".kube" / "config").unlink()  # start must not create one either
    before = snapshot_of()
    with creating(throwaway, phase) as process:
        if phase != PHASES[0]:  # during that one there is no node yet
            until(lambda: anonymous_volumes(throwaway) != set())
        volumes = anonymous_volumes(throwaway)
        os.killpg(process.pid, number)  # the whole group, as a terminal does
        told = until_line(process, ": interrupted (")  # then the clean-up starts
        if again:
            os.killpg(process.pid, number)
        output = told + ended(process, SECONDS_TO_CLEAN_UP)
    assert process.returncode == INTERRUPTED
    assert "Removing what was created" in output
    assert (CLEANING in output) == again
    assert "Traceback" not in output
    assert snapshot_of() ^ before == set()
    assert volumes & set(docker("volume", "ls", "--quiet").split()) == set()
