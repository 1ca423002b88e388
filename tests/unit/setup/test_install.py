"""Where missing requirements come from, decided without installing anything."""

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hostengine import packages
from kubetasks.engine import access, client
from kubetasks.engine.client import PullError, connect
from kubetasks.errors import EngineError, SetupError, TaskError
from kubetasks.providers.kind.provider import Kind
from kubetasks.setup import downloads, install, inventory, requirements
from nodeimages import here
from tests.unit.configured import configured, door
from tests.unit.engine.fakes import FakeEngine
from tests.unit.failing import raising

UNREACHABLE = PullError("Pulling kindest/node failed: no such host", "Try again: ./inv setup")
OFFLINE = downloads.UnreachableError("https://example.com/kind could not be downloaded: no such host.", "Try again: ./inv setup")
NO_SPACE = EngineError("Pulling kindest/node failed: no space left on device", "Make room")


class Machine:
    """A machine that has an engine, but on which only root could build images. `built` names what would have been built."""

    def __init__(self, cache: Path, patch: pytest.MonkeyPatch) -> None:
        self.built: list[str] = []
        self._cache, self.patch = cache, patch
        patch.setattr(here, "build", lambda *given: self.built.extend(need.name for need in given[3]))
        patch.setattr(packages, "possible", lambda: False)
        patch.setattr(shutil, "which", lambda _name: None)
        patch.setattr(client, "release", lambda: "20.10")
        patch.setattr(client, "connect", FakeEngine)

    def install(self, images: str, lacking: Sequence[str], *failures: TaskError) -> None:
        """Install what is lacking: pulls and downloads fail with `failures`, and nothing is installed afterwards."""
        self.patch.setattr(downloads, "fetch", lambda *_given: list(failures))
        wanted = [need for need in Kind.requirements if need.name in lacking]
        install.install(configured(images=images, cache=self._cache), door(), wanted)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(tmp_path, monkeypatch)


CONNECT = "Let the engine reach an image registry: ./inv doctor reports a proxy that it lacks"


@pytest.mark.promise("The first `setup` on a machine pulls")
@pytest.mark.parametrize(
    ("images", "failures", "why", "hint"),
    [("auto", [UNREACHABLE], f"{UNREACHABLE.sentence}\n", CONNECT), ("build", [], "", "Unset INVOKE_SETUP_IMAGES")],
)
def test_who_cannot_build_is_told_what_is_missing_and_why_it_is_not_pulled(
    machine: Machine, images: str, failures: list[TaskError], why: str, hint: str
) -> None:
    with pytest.raises(SetupError) as refused:
        machine.install(images, ["kind", "node image"], *failures)
    told = "What is missing cannot be built here (node image, base image): that needs root on Debian or Ubuntu."
    assert refused.value.sentence == f"{why}{told}"
    assert refused.value.hint == f"{hint}; or, on Debian or Ubuntu on x86_64: sudo ./inv setup; ./inv setup"


@pytest.mark.promise("The first `setup` on a machine pulls")
@pytest.mark.parametrize(
    ("images", "failures", "lacking"),
    [
        ("auto", [UNREACHABLE], ["registry"]),
        ("auto", [OFFLINE], ["kind", "load balancer"]),
        ("auto", [UNREACHABLE, OFFLINE], ["kind", "registry"]),
        ("build", [], ["registry"]),
    ],
)
def test_what_cannot_be_pulled_is_built_by_anybody_if_it_needs_only_go_and_the_reason_is_told(
    machine: Machine, capsys: pytest.CaptureFixture[str], images: str, failures: list[TaskError], lacking: list[str]
) -> None:
    machine.patch.setattr(inventory, "with_base", lambda _settings, needed: needed)
    with pytest.raises(SetupError, match="Still missing after setup"):  # nothing was really built
        machine.install(images, lacking, *failures)
    assert machine.built == lacking
    told = capsys.readouterr().err
    assert all(f"{failure.sentence}\n" in told for failure in failures)
    assert f"\nBuilding {', '.join(lacking)} from package registries" in told


def test_who_asks_for_pulling_gets_no_build(machine: Machine) -> None:
    with pytest.raises(PullError, match="no such host"):
        machine.install("pull", ["registry"], UNREACHABLE)
    assert machine.built == []


def test_files_are_downloaded_if_images_cannot_be_pulled_and_what_building_would_meet_too_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    got: list[str] = []
    monkeypatch.setattr(downloads, "_download", lambda need, _target, _report: got.append(need.name))

    def fetch(error: TaskError) -> list[TaskError]:
        engine: Any = FakeEngine()
        engine.pull = raising(error)
        return downloads.fetch(engine, configured(cache=tmp_path), door(), Kind.requirements)

    with pytest.raises(EngineError, match="no space left"):
        fetch(NO_SPACE)
    assert got == []
    assert fetch(UNREACHABLE) == [UNREACHABLE]
    assert got == ["kind", "load balancer"]


def test_no_engine_is_installed_or_started_in_place_of_one_that_somebody_has_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.setattr(downloads, "fetch", lambda *_given: pytest.fail("nothing is looked for"))
    with pytest.raises(EngineError, match=re.escape("No container engine answers (DOCKER_HOST): Connection refused.")) as told:
        install.install(configured(cache=tmp_path), door(), ())
    assert told.value.hint == access.UNREACHABLE_HINT


def test_without_what_lies_beside_the_package_an_engine_is_asked_for_and_images_are_pulled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for module in ("nodeimages", "nodeimages.here", "nodeimages.names", "hostengine", "hostengine.engine"):
        monkeypatch.setitem(sys.modules, module, None)

    settings = configured(images="pull", cache=tmp_path)
    needed = [requirements.KIND_NODE_IMAGE]
    monkeypatch.setattr(client, "release", lambda: None)
    with pytest.raises(EngineError, match=r"^No container engine answers\.\n"):
        install.install(settings, door(), needed)
    item, *_others = inventory.look(settings, needed)
    assert (item.detail, item.remedy) == ("none answers", f"Start it, or install one: {inventory.INSTALL_DOCKER}")

    engine: Any = FakeEngine()
    engine.pull = lambda reference, _on_line: engine.images.update({reference: reference})
    monkeypatch.setattr(client, "release", lambda: "28.0.4")
    monkeypatch.setattr(client, "connect", lambda: engine)
    assert install.install(settings, door(), needed)
    assert inventory.missing(settings, needed) == []
    assert "nodeimages" in install._unbuildable(needed)
    assert [name.partition(":")[0] for name in sorted(engine.images)] == ["kindest/node", "python"]
