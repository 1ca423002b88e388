"""The development loop: what is watched, and what the user reads about each change."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import watchfiles

from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import EngineError, ImageError, TaskError
from kubetasks.pipeline import app, dev
from kubetasks.providers.base import Phase
from kubetasks.terminal import interruption
from tasks import PROJECT
from tests.unit.failing import raising
from tests.unit.pipeline.living import World, world

pytestmark = pytest.mark.timeout(60)  # a test waits for ever for a change that is missed
SAVED = "source/server/app.py"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A project with manifests, and an image of two files."""
    made = world(tmp_path, monkeypatch, manifests=shutil.copytree(PROJECT.folder / "k8s", tmp_path / "k8s"))
    for name, text in {
        ".dockerignore": "*\n!server\n**/__pycache__\n",
        "server/app.py": "1\n",
        "server/__pycache__/app.pyc": "",
        "docs/page.md": "",
    }.items():
        (tmp_path / "source" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "source" / name).write_text(text)
    return made


@pytest.fixture
def watch(there: World) -> Iterator[dev.Watch]:
    watching = dev.Watch(there.run.app)
    yield watching
    watching.close()


@pytest.mark.promise("Save a file of the image")
@pytest.mark.parametrize(
    "name", [SAVED, "source/server/new.py", "source/Dockerfile", "source/.dockerignore", "k8s/deployment.yaml"]
)
def test_a_change_of_the_image_or_a_manifest_is_seen_and_no_other(watch: dev.Watch, there: World, name: str) -> None:
    for other in ("source/docs/page.md", "source/server/__pycache__/app.pyc", "k8s/notes.txt", "source/notes.txt"):
        (there.folder / other).write_text("changed")
    with (there.folder / name).open("a") as file:
        file.write("# changed\n")
    assert watch.next() == {there.folder / name}


def test_a_folder_that_is_new_is_watched_from_then_on(there: World) -> None:
    there.edit("source/.dockerignore", lambda _: "docs\n")
    watch, package = dev.Watch(there.run.app), there.folder / "source" / "package"
    try:
        package.mkdir()
        assert watch.next() == {package}
        (package / "module.py").write_text("1\n")
        assert watch.next() & {package, package / "module.py"}, "it may come before the folder is watched"
        (package / "inner").mkdir()
        (package / "inner" / "module.py").write_text("1\n")
        while package / "inner" / "module.py" not in watch.next():
            (package / "inner" / "module.py").write_text("2\n")
    finally:
        watch.close()


def test_a_folder_that_is_removed_is_one_change(there: World) -> None:
    package, watched_again = there.folder / "source" / "package", threading.Event()

    def watched(*folders: Path, stop_event: threading.Event, **_options: object) -> Iterator[set[tuple[int, str]]]:
        yield set()
        if package in folders:
            package.rmdir()
            yield {(3, str(package))}
        watched_again.set()
        stop_event.wait()

    there.edit("source/.dockerignore", lambda _: "docs\n")
    package.mkdir()
    there.patch.setattr(watchfiles, "watch", watched)
    watch = dev.Watch(there.run.app)
    assert watched_again.wait(10)
    assert [*watch._changes.queue] == [{package}], "what is pending ends a build"
    watch.close()


def test_each_file_of_a_chart_is_seen(watch: dev.Watch, there: World) -> None:
    (there.folder / "k8s" / "Chart.yaml").touch()
    (helpers := there.folder / "k8s" / "_helpers.tpl").touch()
    while helpers not in watch.next():
        pass


def test_a_file_that_is_gone_is_a_change_too(watch: dev.Watch, there: World) -> None:
    (there.folder / SAVED).unlink()
    assert watch.next() == {there.folder / SAVED}


def test_what_cannot_be_watched_is_said(there: World) -> None:
    shutil.rmtree(there.folder / "k8s")
    with pytest.raises(TaskError, match="cannot be watched"):
        dev.Watch(there.run.app)


@pytest.mark.parametrize(
    ("ending", "phase", "removed"),
    [
        (EngineError("It is gone."), "running", False),
        (EngineError("It is gone."), "missing", True),
        (KeyboardInterrupt(), "running", True),
    ],
)
def test_with_clean_only_an_interruption_removes_a_cluster_that_was_there_before(
    there: World, ending: BaseException, phase: Phase, removed: bool
) -> None:
    there.provider._phase = phase
    there.engine.images["simple-server:before"] = ""
    there.engine.building = raising(ending)
    cleaned, delete = list[bool](), there.provider.delete

    def deleted() -> bool:
        cleaned.append(not interruption.is_cleaning())
        return bool(delete())

    there.patch.setattr(there.provider, "delete", deleted)
    with pytest.raises(type(ending)):
        dev.loop(there.run, clean=True)
    assert cleaned == [False] * removed, "a signal must not disturb it"
    assert [*there.engine.images] == ([] if removed else ["simple-server:before"])


def test_an_edit_mends_a_first_build_that_fails(there: World, capsys: pytest.CaptureFixture[str]) -> None:
    there.engine.building = raising(ImageError("It cannot be built."))

    def saves() -> Iterator[set[Path]]:
        there.engine.building = lambda on_line: on_line("Step 1")
        there.edit(SAVED, lambda _: "2\n")
        yield {there.folder / SAVED}
        raise KeyboardInterrupt

    saved = SimpleNamespace(pending=lambda: False, next=saves().__next__, close=lambda: None)
    there.patch.setattr(dev, "Watch", lambda _: saved)
    dev.loop(there.run, clean=False)
    failed, served, url = capsys.readouterr().out.splitlines()
    assert (failed, "3 pods serve" in served, url) == ("It cannot be built.", True, "http://127.0.0.1:8080/"), served


def test_with_clean_a_cluster_that_was_there_before_stays_if_nothing_ever_came_up(there: World) -> None:
    there.provider._phase, removed = "running", list[bool]()
    there.engine.building = raising(ImageError("It cannot be built."))
    broken = SimpleNamespace(pending=lambda: False, next=raising(EngineError("It is gone.")), close=lambda: None)
    there.patch.setattr(dev, "Watch", lambda _: broken)
    there.patch.setattr(there.provider, "delete", lambda: removed.append(True))
    with pytest.raises(EngineError):
        dev.loop(there.run, clean=True)
    assert removed == []


def test_a_service_without_an_address_outside_has_no_url_to_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = world(tmp_path, monkeypatch, service="ClusterIP")
    monkeypatch.setattr(dev, "_follow", raising(KeyboardInterrupt()))
    dev.loop(inside.run, clean=False)
    printed = capsys.readouterr()
    assert (printed.out, "it answers inside the cluster; ./inv service forwards a port" in printed.err) == ("", True)


def test_with_clean_an_interruption_before_it_serves_leaves_a_cluster_of_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = world(tmp_path, monkeypatch, shared=True)
    theirs.kube.meanwhile = [("GET deployment", raising(KeyboardInterrupt()))]
    with pytest.raises(KeyboardInterrupt):
        dev.loop(theirs.run, clean=True)
    assert theirs.kube.done == []
    assert theirs.engine.images, "what was built stays too"


@pytest.fixture
def served(there: World, capsys: pytest.CaptureFixture[str]) -> str:
    """The build id of the application, which serves with three pods; its source has been edited since."""
    build = app.up(there.run).image.build
    there.edit(SAVED, lambda _: "2\n")
    there.kube.done.clear()
    capsys.readouterr()
    return build


def bring(there: World, served: str, changed: str = SAVED) -> str:
    """Roll out a change of that file; return the build id that is then served, or "" if that is unknown."""
    now = dev._roll_out_change(
        there.run, {there.folder / changed}, frozenset([f"{there.run.app.name}:{served}"] if served else []), again=not served
    )
    return "".join(now).partition(":")[2]


@pytest.mark.parametrize("edited", [True, False])
def test_a_service_that_was_mended_is_exposed_before_anybody_waits_for_its_answer(
    there: World, served: str, edited: bool
) -> None:
    there.kube.one("Service")["spec"]["selector"] = {"app.kubernetes.io/name": "other"}
    there.edit(SAVED, lambda text: text if edited else "1\n")
    assert bring(there, served, "k8s/service.yaml") == there.run.image.build
    assert there.kube.done[-1] == "PATCH service/simple-server"


def test_a_file_that_was_saved_without_a_change_rolls_out_nothing(
    there: World, served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there.edit(SAVED, lambda _: "1\n")
    assert (bring(there, served), there.kube.done, capsys.readouterr().out) == (served, [], "")


@pytest.mark.parametrize("when", ["the build", "the rollout"])
def test_a_file_that_is_saved_again_ends_what_is_outdated_without_a_word(
    there: World, served: str, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    saved = threading.Event()
    there.run.superseded = saved.is_set

    def build(on_line: Callable[[str], None]) -> None:
        if when == "the build":
            saved.set()
            on_line("Step 2")
            pytest.fail("a long one ends at once")

    def deliver(image: Image) -> Delivered:
        saved.set()
        return Delivered(image.reference, pulled=False)

    there.engine.building = build
    there.patch.setattr(there.provider, "deliver", deliver)
    assert (bring(there, served), capsys.readouterr().out) == ("", "")
    assert bool(there.kube.done) == (when == "the rollout")


def test_after_one_that_failed_a_line_names_each_image_that_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there = world(tmp_path, monkeypatch, mailer=True)
    app.up(there.run)

    def saves() -> Iterator[set[Path]]:
        yield {there.folder / SAVED}
        there.edit("mailer/Containerfile", lambda text: f"{text}#\n")
        there.engine.building = raising(ImageError("It cannot be built."))
        yield {there.folder / "mailer" / "Containerfile"}
        there.engine.building = lambda on_line: on_line("Step 1")
        yield {there.folder / "mailer" / "Containerfile"}
        raise KeyboardInterrupt

    saved: Any = SimpleNamespace(pending=lambda: False, next=saves().__next__)
    assert dev._follow(there.run, saved)
    *_, failed, last = capsys.readouterr().out.splitlines()
    assert "It cannot be built." in failed
    assert there.run.images[1].reference in last


def test_a_line_has_each_kind_of_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = world(tmp_path, monkeypatch, mailer=True)
    one, other = (f"{source.name}:1" for source in there.run.app.sources)
    building = [f"Building {one}", f"Building {other}", "Building 2 images"]
    delivering = [f"Delivering {name} through" for name in (one, other)]
    told = dev._stages([(text, 1.0) for text in [*building, *delivering, f"{one}, {other} are deployed"]], there.run.app)
    assert told == {"building 2 images": 1.0, "delivering": 2.0, "already deployed": 1.0}
