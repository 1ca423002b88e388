"""Where what is missing comes from, decided without installing anything."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from hostengine import packages
from kubetasks.engine import access, client
from kubetasks.engine.client import connect
from kubetasks.errors import EngineError, SetupError
from kubetasks.project import settings
from kubetasks.providers.kind.provider import Kind
from kubetasks.setup import downloads, install
from kubetasks.setup.requirements import File
from kubetasks.terminal.report import Report
from nodeimages.build import Build
from tasks import PROJECT
from tests.unit.configured import configured


def sourced(images_from: str) -> settings.Settings:
    return settings.read(PROJECT, {**settings.DEFAULTS, "setup": {"images": images_from, "engine": "install"}}, {})


@pytest.mark.parametrize("way", ["pull", "build"])
def test_a_setting_decides_without_asking_any_registry(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "reached", lambda url: pytest.fail(f"asked {url}"))
    assert install.source(sourced(way)) == way


def test_one_registry_that_answers_is_enough_to_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "reached", lambda url: "quay" in url)
    assert install.source(sourced("auto")) == "pull"
    monkeypatch.setattr(downloads, "reached", lambda _url: False)
    assert install.source(sourced("auto")) == "build"


@pytest.fixture
def unbuildable(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with an engine that cannot build. Return the names of what was downloaded."""
    got: list[str] = []
    monkeypatch.setattr(packages, "possible", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(client, "release", lambda: "20.10")
    monkeypatch.setattr(client, "connect", EngineWithoutImages)
    monkeypatch.setattr(downloads, "pull", lambda _engine, _settings, _report, needs: got.extend(need.name for need in needs))
    monkeypatch.setattr(packages, "install", lambda *_: pytest.fail("who is not root installs no package"))
    return got


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what was built."""
    names: list[str] = []

    def run(self: Build) -> None:
        self._prepare()
        names.extend(need.name for need in self._missing)

    monkeypatch.setattr(Build, "run", run)
    return names


class EngineWithoutImages:
    def image_id(self, reference: str) -> None:
        pass


class EngineWithImages:
    def require_usable(self) -> None:
        pass

    def image_id(self, reference: str) -> str:
        return reference


def build(images_from: str, lacking: list[str], folder: Path) -> None:
    wanted = [need for need in Kind.requirements if need.name in lacking]
    install._build(dataclasses.replace(sourced(images_from), cache=folder), Report(), folder / "log", wanted)


@pytest.mark.parametrize(
    ("images_from", "lacking", "hint"),
    [
        ("auto", ["kind", "node image"], install.CONNECT),
        ("build", ["kind", "node image"], install.UNSET),
    ],
)
def test_who_cannot_build_is_told_what_is_missing(
    unbuildable: list[str], tmp_path: Path, images_from: str, lacking: list[str], hint: str
) -> None:
    with pytest.raises(SetupError, match=r"cannot be built here \(node image\)") as refused:
        build(images_from, lacking, tmp_path)
    assert refused.value.hint == f"{hint}; or, on Debian or Ubuntu on x86_64: sudo ./inv setup; ./inv setup"
    assert unbuildable == []


def test_who_cannot_build_still_downloads_files_because_they_need_no_image_registry(
    unbuildable: list[str], tmp_path: Path
) -> None:
    build("auto", ["kind", "load balancer"], tmp_path)
    assert unbuildable == ["kind", "load balancer"]


def unreachable(*_: object) -> None:
    raise SetupError("https://example.com/kind could not be downloaded: Name or service not known", "Try again: ./inv setup")


@pytest.mark.parametrize("way", ["auto", "build"])
def test_who_is_not_root_builds_what_needs_only_go(
    unbuildable: list[str], built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    monkeypatch.setattr(downloads, "pull", unreachable)
    build(way, ["kind", "load balancer"], tmp_path)
    assert (built, unbuildable) == (["kind", "load balancer"], [])
    built.clear()
    build(way, ["registry"], tmp_path)
    assert built == ["registry"]


def test_a_download_that_cannot_be_reached_beside_images_that_can_is_built(
    unbuildable: list[str], built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(downloads, "pull", unreachable)
    monkeypatch.setattr(install, "source", lambda _settings: "pull")
    monkeypatch.setattr(client, "connect", EngineWithImages)
    wanted = [need for need in Kind.requirements if isinstance(need, File)]
    configuration = dataclasses.replace(sourced("auto"), cache=tmp_path)
    with pytest.raises(SetupError, match="After setup this is still missing"):  # nothing was really built
        install._install(configuration, Report(), wanted)
    assert built == [need.name for need in wanted]
    assert "Name or service not known\nBuilding it instead" in capsys.readouterr().err
    assert unbuildable == []


def test_who_asks_for_pulling_gets_no_build(unbuildable: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(downloads, "pull", unreachable)
    wanted = [need for need in Kind.requirements if isinstance(need, File)]
    with pytest.raises(SetupError, match="could not be downloaded"):
        install._install(dataclasses.replace(sourced("pull"), cache=tmp_path), Report(), wanted)
    assert unbuildable == []


def test_no_engine_is_installed_or_started_in_place_of_one_that_somebody_has_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.setattr(install, "source", lambda _settings: pytest.fail("nothing is looked for"))
    with pytest.raises(EngineError, match=re.escape("No container engine answers (DOCKER_HOST)")) as told:
        install.install(configured(cache=tmp_path), Report(), ())
    assert told.value.hint == access.IF_AWAY
