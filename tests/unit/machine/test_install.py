"""Where what is missing comes from, decided without installing anything."""

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
