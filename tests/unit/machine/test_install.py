"""Where what is missing comes from, decided without installing anything."""

import dataclasses
import re
from pathlib import Path

import pytest

from kubetasks import settings
from kubetasks.machine import downloads, install


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


def test_a_second_run_keeps_the_first_ones_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = dataclasses.replace(configured("auto"), cache=tmp_path)
    log = install.new_log(configuration)
    with log.open("a") as out:
        out.write("why it failed\n")
    assert install.new_log(configuration) == log == tmp_path / "logs" / "setup.log"
    assert re.fullmatch(r"\n=== .* ===\nwhy it failed\n\n=== .*, process \d+ ===\n", log.read_text())
    monkeypatch.setattr(install, "LARGE_LOG", 10)
    install.new_log(configuration)
    assert re.fullmatch(r"\n=== .* ===\n", log.read_text())
    assert "why it failed" in (log.parent / "setup.old.log").read_text()
