"""Where what is missing comes from, decided without installing anything."""

import dataclasses
import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hostengine import packages
from kubetasks.engine import access, client
from kubetasks.engine.client import PullError, connect
from kubetasks.errors import EngineError, SetupError, TaskError
from kubetasks.project import settings
from kubetasks.providers.kind.provider import Kind
from kubetasks.setup import downloads, install, inventory
from kubetasks.terminal.report import Report
from nodeimages import here
from tasks import PROJECT
from tests.unit.configured import configured
from tests.unit.failing import raising


def sourced(images_from: str) -> settings.Settings:
    return settings.read(PROJECT, {**settings.DEFAULTS, "setup": {"images": images_from, "engine": "install"}}, {})


def without_images(**more: object) -> Any:
    return SimpleNamespace(require_usable=lambda: None, image_id=lambda _reference: None, **more)


@pytest.fixture
def unbuildable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with an engine, on which only root could build images."""
    monkeypatch.setattr(packages, "possible", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(client, "release", lambda: "20.10")
    monkeypatch.setattr(client, "connect", without_images)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what the builder was asked for."""
    names: list[str] = []
    monkeypatch.setattr(here, "build", lambda _settings, _report, _log, needs, _start: names.extend(need.name for need in needs))
    return names


UNREACHABLE = PullError("Pulling kindest/node failed: no such host", "Try again: ./inv setup")
OFFLINE = downloads.UnreachableError("https://example.com/kind could not be downloaded: no such host.", "Try again: ./inv setup")


def install_on(monkeypatch: pytest.MonkeyPatch, images_from: str, lacking: list[str], folder: Path, *failures: TaskError) -> None:
    """Install what is lacking; what is pulled or downloaded fails in these ways, and nothing is there afterwards."""
    wanted = [need for need in Kind.requirements if need.name in lacking]
    monkeypatch.setattr(downloads, "fetch", lambda *_given: list(failures))
    install.install(dataclasses.replace(sourced(images_from), cache=folder), Report(), wanted)


@pytest.mark.promise("The first `setup` on a machine pulls")
@pytest.mark.usefixtures("unbuildable")
@pytest.mark.parametrize(
    ("images_from", "failures", "told", "hint"),
    [
        (
            "auto",
            [UNREACHABLE],
            "Pulling kindest/node failed: no such host\nWhat is missing cannot be built here",
            install.CONNECT,
        ),
        ("build", [], "What is missing cannot be built here", install.UNSET),
    ],
)
def test_who_cannot_build_is_told_what_is_missing_and_why_it_is_not_pulled(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    images_from: str,
    failures: list[TaskError],
    told: str,
    hint: str,
) -> None:
    with pytest.raises(SetupError) as refused:
        install_on(monkeypatch, images_from, ["kind", "node image"], tmp_path, *failures)
    root = "that needs root on Debian or Ubuntu"
    assert refused.value.sentence == f"{told} (node image, base image): {root}."
    assert refused.value.hint == f"{hint}; or, on Debian or Ubuntu on x86_64: sudo ./inv setup; ./inv setup"


@pytest.mark.promise("The first `setup` on a machine pulls")
@pytest.mark.usefixtures("unbuildable")
@pytest.mark.parametrize(
    ("images_from", "failures", "lacking", "builds"),
    [
        ("auto", [UNREACHABLE], ["registry"], ["registry"]),
        ("auto", [OFFLINE], ["kind", "load balancer"], ["kind", "load balancer"]),
        ("auto", [UNREACHABLE, OFFLINE], ["kind", "registry"], ["kind", "registry"]),
        ("build", [], ["registry"], ["registry"]),
    ],
)
def test_what_cannot_be_pulled_is_built_by_anybody_if_it_needs_only_go_and_the_reason_is_told(
    built: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    images_from: str,
    failures: list[TaskError],
    lacking: list[str],
    builds: list[str],
) -> None:
    monkeypatch.setattr(inventory, "with_base", lambda _settings, needed: needed)
    with pytest.raises(SetupError, match="After setup this is still missing"):  # nothing was really built
        install_on(monkeypatch, images_from, lacking, tmp_path, *failures)
    assert built == builds
    told = capsys.readouterr().err
    assert all(f"{failure.sentence}\n" in told for failure in failures)
    assert ("Building" in told) == bool(failures)


@pytest.mark.usefixtures("unbuildable")
@pytest.mark.parametrize("failure", [UNREACHABLE, OFFLINE])
def test_who_asks_for_pulling_gets_no_build(
    built: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: TaskError
) -> None:
    with pytest.raises(type(failure), match="no such host"):
        install_on(monkeypatch, "pull", ["registry"], tmp_path, failure)
    assert built == []


@pytest.mark.parametrize("error", [UNREACHABLE, EngineError("Pulling kindest/node failed: no space left on device", "Make room")])
def test_files_are_downloaded_if_images_cannot_be_pulled_and_what_building_would_meet_too_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: TaskError
) -> None:
    got: list[str] = []
    monkeypatch.setattr(downloads, "_download", lambda need, _target, _report: got.append(need.name))
    configuration = configured(cache=tmp_path)

    def fetch() -> list[TaskError]:
        return downloads.fetch(without_images(pull=raising(error)), configuration, Report(), Kind.requirements)

    if isinstance(error, PullError):
        assert fetch() == [error]
        assert got == ["kind", "load balancer"]
    else:
        with pytest.raises(EngineError, match="no space left"):
            fetch()
        assert got == []


def test_no_engine_is_installed_or_started_in_place_of_one_that_somebody_has_chosen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    monkeypatch.setattr(client, "connect", connect)
    monkeypatch.setattr(downloads, "fetch", lambda *_given: pytest.fail("nothing is looked for"))
    with pytest.raises(EngineError, match=re.escape("No container engine answers (DOCKER_HOST): Connection refused.")) as told:
        install.install(configured(cache=tmp_path), Report(), ())
    assert told.value.hint == access.IF_AWAY
