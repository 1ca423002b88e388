"""An interrupted run of the tests leaves no cluster, and keeps one that was there before."""

import os
import signal
import sys

import pytest

from tasks import PROJECT
from tests.support.driver import docker
from tests.support.eventually import until
from tests.support.leftovers import our_clusters
from tests.support.processes import ended, started, until_line
from tests.support.run import Run


@pytest.mark.runs_the_suite
@pytest.mark.parametrize(
    ("number", "phase", "workers"),
    [
        (signal.SIGTERM, "", "2"),
        pytest.param(signal.SIGTERM, "PASSED", "2", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGTERM, "Preparing nodes", "0", marks=pytest.mark.exhaustive),
        pytest.param(signal.SIGINT, "Starting control-plane", "0", marks=pytest.mark.exhaustive),
    ],
)
def test_the_suite_leaves_no_cluster(this_run: Run, number: signal.Signals, phase: str, workers: str) -> None:
    name = this_run.unique()
    argv = [sys.executable, "-m", "pytest", "-vs", f"-n{workers}", f"--cluster-name={name}", "tests/core/test_scale.py"]
    with started(argv, {}) as process:
        if phase:
            until_line(process, phase)
        else:  # a worker's output is not seen here
            until(lambda: docker("ps", "--quiet", f"--filter=name=^{name}-control-plane") != "")
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # the whole group, as a terminal does
        else:
            process.send_signal(number)  # the suite alone, as a CI runner does
        output = ended(process, 600)  # it may have to wait for another test's lock
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert [one for one in our_clusters() if one.startswith(name)] == [], output
    assert docker("ps", "--all", "--quiet", f"--filter=name=^{name}") == ""
    assert list((PROJECT.folder / ".state").glob(f"{name}*")) == []


@pytest.mark.exhaustive
@pytest.mark.runs_the_suite
@pytest.mark.usefixtures("k8s_cluster")
def test_the_suite_leaves_a_cluster_that_was_there_before(this_run: Run) -> None:
    name = this_run.tasks.cluster
    before = docker("ps", "--no-trunc", "--quiet", f"--filter=name=^{name}")
    argv = [sys.executable, "-m", "pytest", "-n0", f"--cluster-name={name}", "tests/thorough/machine/test_setup.py"]
    with started(argv, {}) as process:
        output = ended(process, 600)
    assert process.returncode == 0, output
    assert docker("ps", "--no-trunc", "--quiet", f"--filter=name=^{name}") == before
    assert this_run.tasks.provider().phase() == "running"
