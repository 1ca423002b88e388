"""Where a Python image comes from, decided without an engine or a registry."""

from pathlib import Path

import pytest

from ci import pythons
from ci.pythons import PYTHONS
from kubetasks.engine import client
from kubetasks.engine.client import PullError
from kubetasks.errors import SetupError
from kubetasks.setup import downloads
from nodeimages import here, names
from tests.unit.configured import configured, door
from tests.unit.engine.fakes import FakeEngine

BUILT = names.python("trixie")
PULLED = PYTHONS["3.13"].pulled
UNBUILT = "No available Debian release has Python 3.12, so that it cannot be built."


class Pulling(FakeEngine):
    """An engine that can reach a registry."""


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that were pulled or built."""
    made: list[str] = []

    def build(_engine: object, _settings: object, _report: object, _wanted: object, debian: str, package: str) -> str:
        made.append(names.python(debian, package))
        return made[-1]

    def pull(engine: FakeEngine, _cache: Path, _do: object, reference: str) -> None:
        if not isinstance(engine, Pulling):
            raise PullError(f"Pulling {reference} failed: no such host", "")
        made.append(reference)

    monkeypatch.setattr(downloads, "image", pull)
    monkeypatch.setattr(here, "python", build)
    return made


@pytest.mark.parametrize(
    ("way", "there", "name"),
    [("auto", BUILT, BUILT), ("auto", PULLED, PULLED), ("auto", "", BUILT), ("build", PULLED, BUILT), ("pull", BUILT, PULLED)],
)
def test_an_image_that_is_there_is_used_and_another_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, done: list[str], way: str, there: str, name: str
) -> None:
    monkeypatch.setattr(client, "connect", lambda: (Pulling if way == "pull" else FakeEngine)(there))
    image = pythons.image(configured(images=way, cache=tmp_path), door(), "3.13", may_install=True)
    assert (image, done) == (name, [] if there == name else [name])


@pytest.mark.parametrize(
    ("way", "may_install", "told"),
    [
        ("auto", True, UNBUILT),
        ("build", True, UNBUILT),
        ("auto", False, "This machine has no Python 3.12.\n  ./inv test --python=3.12 runs its tests in a container"),
    ],
)
def test_a_python_that_cannot_be_built_or_may_not_be_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, done: list[str], way: str, may_install: bool, told: str
) -> None:
    monkeypatch.setattr(client, "connect", FakeEngine)
    with pytest.raises(SetupError) as raised:
        pythons.image(configured(images=way, cache=tmp_path), door(), "3.12", may_install)
    assert (str(raised.value), done) == (told, [])
