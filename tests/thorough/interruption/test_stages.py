"""Whichever stage a signal ends, the application keeps serving, and the next run recovers or completes the removal."""

import os
import re
import signal
from pathlib import Path

import pytest

from kubetasks.terminal.interruption import EXIT_CODE as INTERRUPTED
from tests.support import source
from tests.support.driver import Tasks
from tests.support.processes import begun, ended, until_line

BUILD = "docker build "  # what --echo prints when the first stage starts
STAGE = re.compile(r"^(\S+)[^\n]*: done \(", re.MULTILINE)  # the first word of a stage's line
DELIVERED = ("Loading", "Delivering")  # which one depends on what other tests left on the nodes and in the registry
LASTING = {"Building", "Rolling", "Scaling"}  # the last two because of READY_SECONDS
READY_SECONDS = "spec:\n  minReadySeconds: 2\n"
SECONDS_TO_END = 10


@pytest.mark.exhaustive
@pytest.mark.promise("Ctrl-C ends a task")
@pytest.mark.long
@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 1), (signal.SIGKILL, 1)])
def test_whichever_stage_a_signal_ends_the_next_run_makes_good(
    app: Tasks, tmp_path: Path, number: signal.Signals, times: int
) -> None:
    project = source.changed(tmp_path)
    manifest = project / "k8s" / "deployment.yaml"
    manifest.write_text(manifest.read_text().replace("spec:\n", READY_SECONDS, 1))
    words = ("--echo", "build", "deploy", "expose", "scale", "--replicas=2")  # --echo: prints a line when the first stage starts
    source.edit_uniquely(project)
    stages = [*dict.fromkeys(STAGE.findall(app.typed(*words, folder=project).stderr))]
    interrupted = set()
    for done, stage in zip((BUILD, *stages), stages, strict=False):  # send the signal when the stage before is done
        app.kubectl("delete", "service", "simple-server", "--ignore-not-found")
        app.kubectl("scale", "deployment", "simple-server", "--replicas=1")
        source.edit_uniquely(project)
        with begun(app, *words, folder=project) as process:
            assert process.stdout
            lines = (line for line in process.stdout if done == BUILD or STAGE.match(line))
            either = DELIVERED if done in DELIVERED else (done,)
            assert any(line.startswith(either) for line in lines), f"it never ended {done}"
            for _ in range(times):
                os.killpg(process.pid, number)
            output = ended(process, SECONDS_TO_END)
        if process.returncode == 0:  # the tasks had already finished, and must say so
            assert output.splitlines()[-1].startswith(stages[-1]), output
        else:
            assert process.returncode in (-number, INTERRUPTED), output
            interrupted.add(stage)
        assert "Traceback" not in output
        assert app.get("deployment", "simple-server")["status"].get("availableReplicas"), f"{stage}: what served is gone"
    assert interrupted >= LASTING
    app.typed(*words, folder=project)
    assert app.json("diagnose")["code"] == "healthy"


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(one, marks=pytest.mark.exhaustive) for one in (signal.SIGTERM, signal.SIGKILL))]
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
