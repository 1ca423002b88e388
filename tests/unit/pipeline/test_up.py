"""`up`: the image is built while the cluster is being created."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubetasks.errors import EngineError, ImageError, SettingError
from kubetasks.pipeline import app, build
from kubetasks.project.versions import PYTHON_IMAGE
from kubetasks.providers.base import Cluster
from kubetasks.terminal import interruption
from tests.unit.failing import raising
from tests.unit.pipeline.living import World, world


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return world(tmp_path, monkeypatch, phase="missing")


def during(there: World, creating: Callable[[], object]) -> threading.Event:
    """Call `creating` while the cluster is created; return an event that is set when it returns."""
    start, created = there.provider.start, threading.Event()

    def started() -> tuple[Cluster, bool]:
        creating()
        created.set()
        found: tuple[Cluster, bool] = start()
        return found

    there.patch.setattr(there.provider, "start", started)
    return created


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Install the tasks' SIGINT handler: a background job of a shell would ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, interruption.on_signal)
    yield
    signal.signal(signal.SIGINT, before)
    interruption.reset()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("is_created", [False, True])
def test_a_build_ends_with_the_creation_that_it_accompanies(
    there: World, capsys: pytest.CaptureFixture[str], is_created: bool
) -> None:
    building, ended = threading.Event(), threading.Event()

    def build(on_line: Callable[[str], None]) -> None:
        if is_created:
            assert created.wait(10)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            while True:
                on_line("Step 1/9")
                building.set()
        except EngineError:
            ended.set()
            raise

    def creating() -> None:
        if not is_created:
            assert building.wait(10)
            raise KeyboardInterrupt

    created = during(there, creating)
    there.engine.building = build
    with pytest.raises(KeyboardInterrupt):
        app.up(there.run)
    assert ended.is_set(), "nothing of it comes after a clean-up that follows"
    assert "abandoned" not in capsys.readouterr().err


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("signalled", [False, True])
def test_two_builds_end_at_once_if_one_fails_or_ctrl_c_comes_though_the_other_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signalled: bool
) -> None:
    there = world(tmp_path, monkeypatch, mailer=True)
    monkeypatch.setattr(build, "ABANDON_SECONDS", 0.0)
    silent, numbers, waited = threading.Event(), iter([0, 1]), list[bool]()

    def building(_on_line: object) -> None:
        if not next(numbers):
            if not signalled:
                raise ImageError("It cannot be built.")
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        waited.append(silent.wait(20))

    there.engine.building = building
    before = {*threading.enumerate()}
    try:
        with pytest.raises(KeyboardInterrupt if signalled else ImageError):
            build.build(there.run)
        assert waited == []
    finally:
        silent.set()
        for thread in {*threading.enumerate()} - before:  # so that it prints nothing during another test
            if thread.is_alive():  # a thread that is just being started cannot be joined
                thread.join()


def test_a_cluster_that_cannot_be_as_it_is_wanted_is_refused_before_anything_is_built(there: World) -> None:
    there.provider.check = raising(SettingError("kind.yaml: name is other."))
    with pytest.raises(SettingError):
        app.up(there.run)
    assert (there.engine.built, there.provider.phase()) == ([], "missing")


def test_a_build_that_fails_is_told_while_the_cluster_is_created(there: World) -> None:
    told = threading.Event()

    def say(text: str) -> None:
        if text.endswith("It cannot be built.\n  ./inv setup"):  # this hint: the base image is missing too
            told.set()

    there.edit("source/Dockerfile", lambda _: f"ARG BASE={PYTHON_IMAGE}\nFROM $BASE\n")
    there.engine.building = raising(ImageError("It cannot be built.", "Fix it"))
    during(there, lambda: told.wait(10))
    there.patch.setattr(there.run.report, "say", say)
    with pytest.raises(ImageError):
        app.up(there.run)
    assert told.is_set()
