"""The engine stops in the middle of a task: a sentence reports it, the application keeps serving, the next run recovers."""

from pathlib import Path

import pytest

from kubetasks.errors import ClusterError, EngineError, ImageError, ProgramError
from tests.support import answers, source
from tests.support.driver import Tasks
from tests.support.gate import Gate
from tests.support.processes import begun, ended

WORDS = ("build", "deploy", "expose", "scale", "--replicas=2")
CODES = (EngineError.code, ClusterError.code, ImageError.code, ProgramError.code)
EXPECTED = {"POST build", "POST images/*/*/push"}
LINES = 20
SECONDS = 60


@pytest.mark.exhaustive
@pytest.mark.long
def test_whichever_request_the_engine_ends_at_the_next_run_makes_good(app: Tasks, gate: Gate, tmp_path: Path) -> None:
    project = source.changed(tmp_path)
    source.edit_uniquely(project)
    app.typed(*WORDS, folder=project, DOCKER_HOST=gate.host)
    app("unexpose")
    source.edit_uniquely(project)
    app.typed(*WORDS, folder=project, DOCKER_HOST=gate.host)
    url = app.url()
    kinds = list(gate.requests)
    assert set(kinds) >= EXPECTED
    closed = set()
    for kind in kinds:
        source.edit_uniquely(project)
        gate.open(closes_at=kind)
        with begun(app, *WORDS, folder=project, DOCKER_HOST=gate.host) as process:
            output = ended(process, SECONDS)
        closed |= {kind} if gate.closed else set()
        if process.returncode == 0:  # the tasks did not need that request
            assert answers.build(url) == source.build(output), kind
        else:
            assert process.returncode in CODES, f"{kind}: {output}"
            assert gate.closed, f"{kind}: nothing was wrong with the engine: {output}"
            assert output.splitlines()[-1].startswith("  "), f"{kind}: no next command: {output}"
        assert "Traceback" not in output, kind
        assert len(output.splitlines()) <= LINES, kind
        assert answers.health(url), f"{kind}: what served serves no more"
    assert closed >= EXPECTED
    gate.open()
    app.typed(*WORDS, folder=project, DOCKER_HOST=gate.host)
    assert app.json("diagnose")["code"] == "healthy"
