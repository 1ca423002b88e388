"""The fixtures of tests on clusters, and a gate before the engine."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate import Gate

pytest_plugins = ("kubetasks.pytest_plugin", "tests.support.kind", "tests.support.fixtures")
collect_ignore = ["package/apps"]  # applications of others, which tests copy


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Let everybody through to the engine."""
    with tempfile.TemporaryDirectory(prefix="gate-", dir="/tmp") as folder:  # a socket's path has 108 characters at most
        gate = Gate(Path(folder) / "engine")
        yield gate
        gate.close()
