"""An interrupted task or suite removes what it created, and nothing else."""

import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kubetasks import engine
from kubetasks.application import PROJECT
from kubetasks.interruption import INTERRUPTED, LEFT
from tests.integration import source
from tests.integration.driver import Tasks
from tests.integration.leftovers import our_clusters
from tests.integration.programs import PHASES, creating, ended, started
from tests.integration.run import Run
from tests.integration.snapshot import Snapshot
from tests.waiting import until

BUILD = "docker build "  # what --echo prints when the first stage begins
STAGE = re.compile(r"^(\S+)[^\n]*: done \(", re.MULTILINE)  # the first word of a stage's line
INTERRUPTED_STEP = ": interrupted ("  # after it the clean-up begins
LOADED = "Loading"
SECONDS_TO_END = 10
SECONDS_TO_CLEAN_UP = 60  # of a cluster that was half created


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_start_cleans_up(
    snapshot_of: Callable[[], Snapshot], throwaway: Tasks, home: Path, number: signal.Signals, phase: str
) -> None:
    (home / ".kube" / "config").unlink()  # start must not create one either
    before = snapshot_of()
    with creating(throwaway, phase) as process:
        os.killpg(process.pid, number)  # the whole group, as a terminal does
        output = ended(process, SECONDS_TO_CLEAN_UP)
    assert process.returncode == INTERRUPTED
    assert "Removing what was created" in output
    assert "Traceback" not in output
    assert snapshot_of().since(before) == {}


@pytest.mark.parametrize(("number", "phase"), [(signal.SIGINT, PHASES[1]), (signal.SIGHUP, PHASES[2])])
def test_a_second_signal_ends_the_start_at_once_and_another_process_cleans_up(
    snapshot_of: Callable[[], Snapshot], throwaway: Tasks, number: signal.Signals, phase: str
) -> None:
    before = snapshot_of()
    with creating(throwaway, phase) as process:
        os.killpg(process.pid, number)
        assert process.stdout
        assert any(INTERRUPTED_STEP in line for line in process.stdout)
        os.killpg(process.pid, number)
        output = ended(process, SECONDS_TO_END)
    assert process.returncode == INTERRUPTED
    assert output.splitlines()[-1] == LEFT["discard"]
    until(lambda: snapshot_of().since(before) == {})


@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1), (signal.SIGKILL, 1)])
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
            either = (done, LOADED) if done == "Delivering" else (done,)  # another test's delivery can disturb this one
            assert any(line.startswith(either) for line in lines), f"it never ended {done}"
            for _ in range(times):
                os.killpg(process.pid, number)
            output = ended(process, SECONDS_TO_END)
        assert process.returncode in (-number, INTERRUPTED, 0), output  # 0: it was done already
        assert "Traceback" not in output
        codes.append(process.returncode)
    assert codes[0] != 0, "the first signal must interrupt"
    app.typed(*words, folder=project)
    assert app.json("diagnose")["code"] == "healthy"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_removal_that_a_signal_ends_is_completed_by_the_next_one(app: Tasks, number: signal.Signals) -> None:
    app("build", "deploy", "expose")
    with started([sys.executable, "-m", "kubetasks", "unexpose", "undeploy"], app.environment) as process:
        assert process.stdout
        assert any(line.startswith("Waiting until its addresses are closed: done") for line in process.stdout)
        os.killpg(process.pid, number)  # while the pod drains
        output = ended(process, SECONDS_TO_END)
    assert process.returncode in (-number, INTERRUPTED), output
    assert "Traceback" not in output
    app("unexpose", "undeploy")
    assert app.get("deployments,replicasets,pods,services,poddisruptionbudgets")["items"] == []


@pytest.mark.runs_the_suite
@pytest.mark.parametrize(
    ("number", "phase", "workers"),
    [
        (signal.SIGTERM, "Preparing nodes", "0"),
        (signal.SIGTERM, "test_scaling.py::", "2"),
        (signal.SIGINT, "Starting control-plane", "0"),
    ],
)
def test_the_suite_leaves_no_cluster(this_run: Run, number: signal.Signals, phase: str, workers: str) -> None:
    name = this_run.throwaway().cluster
    argv = [sys.executable, "-m", "pytest", "-vs", f"-n{workers}", f"--cluster-name={name}", "tests/integration/test_scaling.py"]
    with started(argv, {}) as process:
        assert process.stdout
        seen = next((line for line in process.stdout if phase in line), None)
        assert seen, f"it never printed {phase}"
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # the whole group, as a terminal does
        else:
            process.send_signal(number)  # the suite alone, as a CI runner does
        output = ended(process, 600)  # it may have to wait for another test's lock
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
        output = ended(process, 600)
    assert process.returncode == 0, output
    assert [node.id for node in engine.connect().containers(nodes)] == before
    assert this_run.tasks.provider().condition() == "running"
