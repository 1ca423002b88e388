"""The registry of a kind cluster, gone or full in the middle of a delivery."""

from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import EngineError, ImageError
from kubetasks.providers.base import RegistryAddress
from kubetasks.providers.kind.provider import Kind
from kubetasks.providers.registry import Registry
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.unit.configured import configured

ADDRESS = RegistryAddress("127.0.0.1:5001", "simple-server-registry:5000")
IMAGE = Image(PROJECT.application, "0" * 12, "base")
DIGEST = f"sha256:{'0' * 64}"
NODE: Any = SimpleNamespace(name="simple-server-control-plane")


class FakeEngine:
    """Its push, or what it runs in a node, fails."""

    def __init__(self, failing: str) -> None:
        self._failing = failing
        self.names = {IMAGE.reference}
        self.ran: list[tuple[str, ...]] = []

    def image_tags(self, _name: str) -> list[str]:
        return sorted(self.names)

    def image_id(self, _name: str) -> None:
        pass

    def tag(self, _reference: str, name: str) -> None:
        self.names.add(name)

    def push(self, name: str, _on_line: object) -> str:
        if self._failing == "push":
            raise ImageError(f"Pushing {name} failed: connection refused")
        return DIGEST

    def remove_image(self, name: str) -> None:
        self.names.remove(name)

    def run_in(self, _node: object, *argv: str) -> str:
        self.ran.append(argv)
        if not self._failing:
            return ""
        raise EngineError("`sh -ec ctr` in it failed: level=warning msg=DEPRECATION\nctr: failed to resolve reference")


def provider(failing: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Kind, FakeEngine]:
    engine: Any = FakeEngine(failing)
    monkeypatch.setattr(Registry, "address", lambda _self: ADDRESS)
    return Kind(configured(), Report(), lambda: engine), engine


@pytest.mark.parametrize(
    ("failing", "words"),
    [
        ("push", "connection refused\n"),
        ("pull", "\nNode simple-server-control-plane cannot pull from registry simple-server-registry: ctr: failed to resolve"),
    ],
)
def test_a_delivery_that_fails_is_told_and_leaves_no_name_behind_and_the_image_is_loaded_instead(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failing: str, words: str
) -> None:
    kind, engine = provider(failing, monkeypatch)
    loaded: list[object] = []
    monkeypatch.setattr(Kind, "_nodes", lambda _self: [NODE])
    monkeypatch.setattr(Kind, "_has", lambda *_: False)
    monkeypatch.setattr(Kind, "_load", lambda _self, _names, nodes: loaded.extend(nodes))
    assert kind.deliver(IMAGE) == Delivered(IMAGE.reference, pulled=False)
    assert loaded == [NODE]
    assert words in capsys.readouterr().err
    assert engine.names == {IMAGE.reference}


def test_nodes_pull_what_was_pushed_whatever_else_has_its_name_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, engine = provider("", monkeypatch)
    monkeypatch.setattr(Kind, "_nodes", lambda _self: [NODE, NODE])
    monkeypatch.setattr(Kind, "_has", lambda *_: False)
    kind.deliver(IMAGE)
    assert len(engine.ran) == 2
    for *_, script in engine.ran:
        assert f"pull --plain-http {ADDRESS.inside}/simple-server@{DIGEST};" in script


def test_a_registry_that_was_started_again_gets_the_image_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps images in memory, and the tasks of one invocation share the provider."""
    engine: Any = FakeEngine("")
    pushed: list[str] = []

    def push(name: str, _on_line: object) -> str:
        pushed.append(name)
        return DIGEST

    monkeypatch.setattr(engine, "push", push)
    monkeypatch.setattr(engine, "start", lambda _container: None, raising=False)
    monkeypatch.setattr(Registry, "address", lambda _self: ADDRESS)
    monkeypatch.setattr(Registry, "require_free", lambda _self: None)
    monkeypatch.setattr(Registry, "_container", lambda _self: SimpleNamespace(status="exited"))
    registry = Registry(engine, configured(), "demo")
    for _ in range(2):
        registry.deliver([IMAGE.reference], [NODE], lambda _line: None)
    registry.serve()
    registry.deliver([IMAGE.reference], [NODE], lambda _line: None)
    assert len(pushed) == 2
