"""Told to end in the middle, neither a task nor the suite itself leaves anything behind; and it takes only what it made."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubetasks import engine, wait
from kubetasks.application import PROJECT
from tests.integration.driver import Tasks
from tests.integration.leftovers import our_clusters
from tests.integration.run import Run
from tests.integration.snapshot import Snapshot

MOMENTS = ("Ensuring node image", "Preparing nodes", "Starting control-plane")  # as kind says them


@contextmanager
def started(argv: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A program with a process group of its own, as a terminal gives it."""
    process = subprocess.Popen(
        argv,
        cwd=PROJECT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(happened: Callable[[], bool]) -> None:
    state = wait.until(lambda: wait.Done() if happened() else wait.Pending("not yet"), timeout=90, longest_pause=0.02)
    assert isinstance(state, wait.Done)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        *((signal.SIGINT, moment) for moment in MOMENTS),
        (signal.SIGTERM, MOMENTS[1]),
        (signal.SIGHUP, MOMENTS[2]),
    ],
)
def test_start_takes_back_what_is_half_made(
    snapshot_of: Callable[[], Snapshot], throwaway: Tasks, home: Path, number: signal.Signals, moment: str
) -> None:
    (home / ".kube" / "config").unlink()  # nor is one made
    before = snapshot_of()
    log = throwaway.settings.cache / "logs" / f"kind-{throwaway.cluster}.log"
    try:
        with started([sys.executable, "-m", "kubetasks", "start"], throwaway.environment) as process:
            until(lambda: log.exists() and moment in log.read_text())
            os.killpg(process.pid, number)  # the whole group, as a terminal does
            output, _ = process.communicate(timeout=60)
    finally:
        log.unlink(missing_ok=True)
    assert process.returncode != 0
    assert "Traceback" not in output
    assert snapshot_of().since(before) == {}


@pytest.mark.runs_the_suite
@pytest.mark.parametrize(
    ("number", "moment", "workers"),
    [
        (signal.SIGTERM, "Preparing nodes", "0"),
        (signal.SIGTERM, "test_scaling.py::", "2"),
        (signal.SIGINT, "Starting control-plane", "0"),
    ],
)
def test_the_suite_leaves_no_cluster(this_run: Run, number: signal.Signals, moment: str, workers: str) -> None:
    name = this_run.throwaway().cluster
    argv = [sys.executable, "-m", "pytest", "-vs", f"-n{workers}", f"--cluster-name={name}", "tests/integration/test_scaling.py"]
    with started(argv, {}) as process:
        assert process.stdout
        seen = next((line for line in process.stdout if moment in line), None)
        assert seen, "it came to that moment"
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # the whole group, as a terminal does
        else:
            process.send_signal(number)  # the suite alone, as a job's runner does
        output, _ = process.communicate(timeout=200)  # it may have to wait for another test's lock
    assert process.returncode != 0
    assert [one for one in our_clusters() if one.startswith(name)] == [], output
    assert [node.name for node in engine.connect().containers("io.x-k8s.kind.cluster") if str(node.name).startswith(name)] == []
    assert list((PROJECT / ".state").glob(f"{name}*")) == []


@pytest.mark.runs_the_suite
@pytest.mark.usefixtures("kind_cluster")
def test_the_suite_leaves_a_cluster_that_was_there_before(this_run: Run) -> None:
    nodes = f"io.x-k8s.kind.cluster={this_run.cluster_name}"
    before = [node.id for node in engine.connect().containers(nodes)]
    argv = [sys.executable, "-m", "pytest", "-n0", f"--cluster-name={this_run.cluster_name}", "tests/integration/test_setup.py"]
    with started(argv, {}) as process:
        output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert [node.id for node in engine.connect().containers(nodes)] == before
    assert this_run.tasks.provider().condition() == "running"
