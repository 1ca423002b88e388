"""A world for each provider that creates clusters: the adapter, with a fake engine and a fake program."""

from pathlib import Path

import pytest

from kubetasks.providers.kind.provider import Kind
from kubetasks.providers.minikube.provider import Minikube
from tests.unit.providers.fakes import FakeKind, FakeMinikube, World


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(Kind, FakeKind, tmp_path, monkeypatch)


@pytest.fixture
def minikube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(Minikube, FakeMinikube, tmp_path, monkeypatch)


@pytest.fixture(params=["kind", "minikube"])
def world(request: pytest.FixtureRequest) -> World:
    """The world of each provider in turn."""
    made: World = request.getfixturevalue(request.param)
    return made
