"""A world for each provider of our own: the adapter, and an engine and a program that only remember."""

from pathlib import Path
from typing import Any

import pytest

from kubetasks.providers.kind.provider import Kind
from kubetasks.providers.minikube.provider import Minikube
from kubetasks.providers.own import Own
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Artifact, Requirement
from kubetasks.terminal import shell
from kubetasks.terminal.report import Report
from tests.unit.configured import configured
from tests.unit.engine.fakes import FakeEngine
from tests.unit.providers.fakes import IMAGE, NAME, NODE_IMAGE, FakeKind, FakeMinikube, World, fixed


def begun(name: str, kind: type[Own], program: type, folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    engine = FakeEngine(NODE_IMAGE.reference, *IMAGE.names)
    made = program(engine)
    monkeypatch.setattr(shell, "run", made)
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr(requirements, name.upper(), fixed(Artifact(f"/cache/{name}", True)))
    node = Requirement("node image", lambda _: NODE_IMAGE.reference, lambda _: "")
    monkeypatch.setattr(requirements, f"{name.upper()}_NODE_IMAGE", node)

    def make(clone: str = "clone", *, dry: bool = False, **changes: Any) -> Own:
        given: dict[str, Any] = {"cluster": NAME, "provider": name, "cache": folder / "cache", **changes}
        return kind(configured(folder / clone, **given), Report(dry=dry), lambda: engine)  # type: ignore[arg-type,return-value]

    return World(name, make(), engine, made, make)


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return begun("kind", Kind, FakeKind, tmp_path, monkeypatch)


@pytest.fixture
def minikube(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return begun("minikube", Minikube, FakeMinikube, tmp_path, monkeypatch)


@pytest.fixture(params=["kind", "minikube"])
def world(request: pytest.FixtureRequest) -> World:
    """Of each provider in turn."""
    made: World = request.getfixturevalue(request.param)
    return made
