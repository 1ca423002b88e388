"""The engine ends in the middle of a task: it is told in a sentence, what served goes on serving, the next run makes good."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubetasks.errors import ClusterError, EngineError, ImageError, ProgramError
from tests.integration import answers, source
from tests.integration.driver import Tasks
from tests.integration.gate import Gate
from tests.integration.programs import ended, started

WORDS = ("build", "deploy", "expose", "scale", "--replicas=2")
CODES = (0, EngineError.code, ClusterError.code, ImageError.code, ProgramError.code)  # 0: it could do without
EXPECTED = {"POST build", "POST images/*/*/push"}
LINES = 20
SECONDS = 60


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Let everybody through to the engine."""
    with tempfile.TemporaryDirectory(prefix="gate-", dir="/tmp") as folder:  # a socket's path has 108 characters at most
        gate = Gate(Path(folder) / "engine")
        gate.open()
        yield gate
        gate.close()


def test_whichever_request_the_engine_ends_at_the_next_run_makes_good(app: Tasks, gate: Gate, tmp_path: Path) -> None:
    project = source.changed(tmp_path)
    source.edit_uniquely(project)
    app.typed(*WORDS, folder=project, DOCKER_HOST=gate.host)
    app("unexpose")
    source.edit_uniquely(project)
    app.typed(*WORDS, folder=project, DOCKER_HOST=gate.host)
    url = app("service").stdout.strip()
    kinds = list(gate.requests)
    assert set(kinds) >= EXPECTED
    closed = set()
    for kind in kinds:
        source.edit_uniquely(project)
        gate.open(closes_at=kind)
        with started(
            [sys.executable, "-m", "kubetasks", *WORDS], app.environment | {"DOCKER_HOST": gate.host}, project
        ) as process:
            output = ended(process, SECONDS)
        closed |= {kind} if gate.closed else set()
        assert process.returncode in CODES, f"{kind}: {output}"
        assert "Traceback" not in output, kind
        assert len(output.splitlines()) <= LINES, kind
        assert answers.health(url), f"{kind}: what served serves no more"
    assert closed >= EXPECTED
    gate.open()
    app.typed(*WORDS, folder=project, DOCKER_HOST=gate.host)
    assert app.json("diagnose")["code"] == "healthy"
