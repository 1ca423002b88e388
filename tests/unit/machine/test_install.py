"""Where what is missing comes from, decided without installing anything."""

import dataclasses
import shutil
from pathlib import Path

import pytest

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


@pytest.mark.parametrize(
    ("lacking", "hint"), [(["kind", "load balancer"], install.DOWNLOAD), (["kind", "registry"], install.CONNECT)]
)
def test_who_cannot_build_is_told_what_is_missing_and_that_files_need_no_image_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacking: list[str], hint: str
) -> None:
    monkeypatch.setattr(packages, "possible", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(engine, "release", lambda: None)
    wanted = [need for need in Kind.needs if need.name in lacking]
    made = dataclasses.replace(configured("build"), cache=tmp_path)
    with pytest.raises(SetupError, match=f"cannot be built here \\({', '.join(lacking)}\\)") as refused:
        install._build(made, Report(), tmp_path / "log", wanted)
    assert refused.value.hint == hint
