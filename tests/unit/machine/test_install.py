"""Where what is missing comes from, decided without installing anything."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from kubetasks import engine as used_engine
from kubetasks import settings
from kubetasks.errors import SetupError
from kubetasks.machine import downloads, engine, install, packages
from kubetasks.providers.kind.provider import Kind
from kubetasks.report import Report


def configured(images_from: str) -> settings.Settings:
    return settings.read({**settings.DEFAULTS, "setup": {"images": images_from, "engine": "install"}}, {})


@pytest.mark.parametrize("way", ["pull", "build"])
def test_a_setting_decides_without_asking_any_registry(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "reached", lambda url: pytest.fail(f"asked {url}"))
    assert install.source(configured(way)) == way


def test_one_registry_that_answers_is_enough_to_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "reached", lambda url: "quay" in url)
    assert install.source(configured("auto")) == "pull"
    monkeypatch.setattr(downloads, "reached", lambda _url: False)
    assert install.source(configured("auto")) == "build"


@pytest.fixture
def unbuildable(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with an engine that cannot build. Return the names of what was downloaded."""
    got: list[str] = []
    monkeypatch.setattr(packages, "possible", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(engine, "release", lambda: "20.10")
    monkeypatch.setattr(used_engine, "connect", EngineWithoutImages)
    monkeypatch.setattr(downloads, "pull", lambda _engine, _settings, _report, needs: got.extend(need.name for need in needs))
    return got


class EngineWithoutImages:
    def image_id(self, reference: str) -> None:
        pass


def build(images_from: str, lacking: list[str], folder: Path) -> None:
    wanted = [need for need in Kind.needs if need.name in lacking]
    install._build(dataclasses.replace(configured(images_from), cache=folder), Report(), folder / "log", wanted)


@pytest.mark.parametrize(
    ("images_from", "lacking", "hint"),
    [
        ("auto", ["kind", "registry"], install.CONNECT),
        ("build", ["kind", "registry"], install.UNSET),
        ("build", ["kind"], install.UNSET),
    ],
)
def test_who_cannot_build_is_told_what_is_missing(
    unbuildable: list[str], tmp_path: Path, images_from: str, lacking: list[str], hint: str
) -> None:
    with pytest.raises(SetupError, match=f"cannot be built here \\({', '.join(lacking)}\\)") as refused:
        build(images_from, lacking, tmp_path)
    assert refused.value.hint == hint
    assert unbuildable == []


def test_who_cannot_build_still_downloads_files_because_they_need_no_image_registry(
    unbuildable: list[str], tmp_path: Path
) -> None:
    build("auto", ["kind", "load balancer"], tmp_path)
    assert unbuildable == ["kind", "load balancer"]
