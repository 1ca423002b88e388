"""No test here touches this machine: a call of a program or an engine that is not faked fails the test instead."""

import pytest

from kubetasks.engine import client
from kubetasks.terminal import shell


@pytest.fixture(autouse=True)
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without this, a bug in the code under test could remove the packages and data of the machine that runs the tests."""
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(shell, "run", lambda argv, **_: pytest.fail(f"ran {' '.join(map(str, argv))}"))
    monkeypatch.setattr(client, "connect", lambda **_: pytest.fail("connected to an engine"))
