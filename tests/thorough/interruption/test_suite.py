"""An interrupted run of the tests leaves no cluster, and keeps one that was there before."""

import os
import signal
import sys

import pytest

from kubetasks.engine import client
from tasks import PROJECT
from tests.support.leftovers import our_clusters
from tests.support.marks import exhaustive
from tests.support.processes import ended, started
from tests.support.run import Run


@pytest.mark.runs_the_suite
@pytest.mark.parametrize(
    ("number", "phase", "workers"),
    [
        (signal.SIGTERM, "PASSED", "2"),
        pytest.param(signal.SIGTERM, "Preparing nodes", "0", marks=exhaustive),
        pytest.param(signal.SIGINT, "Starting control-plane", "0", marks=exhaustive),
    ],
)
def test_the_suite_leaves_no_cluster(this_run: Run, number: signal.Signals, phase: str, workers: str) -> None:
    name = this_run.throwaway().cluster
    argv = [sys.executable, "-m", "pytest", "-vs", f"-n{workers}", f"--cluster-name={name}", "tests/core/test_scale.py"]
    with started(argv, {}) as process:
        assert process.stdout
        seen = next((line for line in process.stdout if phase in line), None)
        assert seen, f"it never printed {phase}"
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # the whole group, as a terminal does
        else:
            process.send_signal(number)  # the suite alone, as a CI runner does
        output = ended(process, 600)  # it may have to wait for another test's lock
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert [one for one in our_clusters() if one.startswith(name)] == [], output
    assert [node.name for node in client.connect().containers("io.x-k8s.kind.cluster") if str(node.name).startswith(name)] == []
    assert list((PROJECT.folder / ".state").glob(f"{name}*")) == []


@exhaustive
@pytest.mark.runs_the_suite
@pytest.mark.usefixtures("k8s_cluster")
def test_the_suite_leaves_a_cluster_that_was_there_before(this_run: Run) -> None:
    nodes = f"io.x-k8s.kind.cluster={this_run.cluster_name}"
    before = [node.id for node in client.connect().containers(nodes)]
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-n0",
        f"--cluster-name={this_run.cluster_name}",
        "tests/thorough/machine/test_setup.py",
    ]
    with started(argv, {}) as process:
        output = ended(process, 600)
    assert process.returncode == 0, output
    assert [node.id for node in client.connect().containers(nodes)] == before
    assert this_run.tasks.provider().phase() == "running"
