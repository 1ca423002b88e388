"""Fixtures for tests on clusters, and a gate in front of the engine."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.gate import Gate

pytest_plugins = ("kubetasks.pytest_plugin", "tests.support.kind", "tests.support.fixtures")
collect_ignore = ["package/apps"]  # sample third-party applications, which tests copy


@pytest.fixture
def gate() -> Iterator[Gate]:
    """A gate in front of the engine; it lets every request through until a test says otherwise."""
    with tempfile.TemporaryDirectory(prefix="gate-", dir="/tmp") as folder:  # a socket's path has at most 108 characters
        gate = Gate(Path(folder) / "engine")
        yield gate
        gate.close()
