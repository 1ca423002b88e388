"""A cluster that kubetasks created: what a person is told if it does not come up, or does not go."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.errors import ClusterError, EngineError, LeftoverError, ProgramError, TaskError
from kubetasks.project.labels import TOOL
from kubetasks.providers.kind.network import Network
from kubetasks.providers.kind.provider import Kind
from kubetasks.terminal.report import Report
from tests.unit.configured import configured

NODE = "simple-server-control-plane"


class Engine:
    """Has one stopped node, which ends as soon as it is started."""

    def __init__(self) -> None:
        attrs = {
            "NetworkSettings": {"Networks": {"simple-server": {}}},
            "HostConfig": {"PortBindings": {"6443/tcp": [{"HostPort": "1"}]}},
            "Config": {"Image": ""},
        }
        self.node = SimpleNamespace(name=NODE, status="exited", attrs=attrs)
        self.started = 0

    def containers(self, _label: str) -> list[Any]:
        return [self.node]

    def network(self, _name: str) -> dict[str, Any]:
        return {"Labels": TOOL.labels}

    def require_usable(self) -> None:
        """It is."""

    def has_file(self, _node: object, _path: str) -> bool:
        return True

    def start(self, _node: object) -> None:
        self.started += 1

    def last_words(self, _node: object) -> str:
        return "exec /sbin/init: no such file or directory"


def test_a_node_that_ends_right_after_its_start_is_told_with_its_last_words_and_not_to_be_started(tmp_path: Path) -> None:
    engine: Any = Engine()
    with pytest.raises(ClusterError) as told:
        Kind(configured(tmp_path, cache=tmp_path), Report(), lambda: engine).start()
    assert engine.started == 1
    assert told.value.sentence == (
        f"Node {NODE} of cluster simple-server has ended since it was started: exec /sbin/init: no such file or directory"
    )
    assert told.value.hint == f"docker logs {NODE} says more; ./inv delete start creates a new cluster"


class Failing(Kind):
    """Neither comes up nor goes."""

    error: BaseException
    left: TaskError | None = None

    def _create(self, at: object, *, again: bool = False) -> None:  # noqa: ARG002
        raise self.error

    def _settle(self, size: int) -> None:
        """Nothing comes."""

    def _remove(self) -> None:
        if self.left:
            raise self.left


LEFT = LeftoverError("Parts of cluster simple-server are left: container one.", "./inv delete")
KIND_FAILED = ProgramError(["kind", "create"], 1, "ERROR: no room", log="kind.log")
TOLD = "Cluster simple-server could not be created.\n  ERROR: no room\n  full log: kind.log"


@pytest.mark.parametrize(
    ("error", "left", "raised", "sentence"),
    [
        (KIND_FAILED, None, ClusterError, TOLD),
        (KIND_FAILED, LEFT, LeftoverError, f"{TOLD}\n  {LEFT.sentence}"),
        (EngineError("It ended."), LEFT, LeftoverError, f"It ended.\n  {LEFT.sentence}"),
        (EngineError("It ended."), None, EngineError, "It ended."),
        (KeyboardInterrupt(), LEFT, LeftoverError, LEFT.sentence),
        (KeyboardInterrupt(), None, KeyboardInterrupt, ""),
    ],
)
def test_why_a_creation_failed_is_told_even_if_its_clean_up_fails_too(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException,
    left: TaskError | None,
    raised: type[BaseException],
    sentence: str,
) -> None:
    monkeypatch.setattr(Failing, "error", error, raising=False)
    monkeypatch.setattr(Failing, "left", left)
    with pytest.raises(raised) as told:
        Failing(configured(tmp_path, cache=tmp_path), Report(), Engine)._create_whole()  # type: ignore[arg-type]
    assert getattr(told.value, "sentence", "") == sentence


def test_who_keeps_the_network_is_named_with_what_to_type() -> None:
    engine: Any = SimpleNamespace(network=lambda _name: {"Labels": TOOL.labels}, connected=lambda _name: ["tea", "milk"])
    with pytest.raises(LeftoverError, match="Docker network demo is left: tea, milk is connected to it") as told:
        Network(engine, TOOL, "demo", {}).remove()
    disconnect = "docker network disconnect --force demo"
    assert told.value.hint == f"{disconnect} tea; {disconnect} milk; ./inv delete"
