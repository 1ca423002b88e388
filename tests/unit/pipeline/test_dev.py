"""The inner loop: what is watched, and what a person reads of each change."""

import dataclasses
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubetasks.engine.image import Image
from kubetasks.errors import ImageError, RolloutError, TaskError
from kubetasks.pipeline import app, build, dev, removal
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.project.application import Application
from kubetasks.providers.base import Phase
from kubetasks.terminal import interruption
from tasks import PROJECT
from tests.unit.pipeline.fakes import FakeProvider, OwnProvider, run_on

pytestmark = pytest.mark.timeout(60)  # a change that is not seen is waited for


@pytest.fixture
def project(tmp_path: Path) -> Application:
    """A project with an image of two files."""
    for name, text in {
        "Dockerfile": "FROM scratch\n",
        ".dockerignore": "*\n!server\n**/__pycache__\n",
        "server/app.py": "1\n",
        "server/__pycache__/app.pyc": "",
        "k8s/deployment.yaml": "",
        "docs/page.md": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return dataclasses.replace(PROJECT.application, source=tmp_path, manifests=tmp_path / "k8s")


@pytest.fixture
def watch(project: Application) -> Iterator[dev.Watch]:
    watching = dev.Watch(project)
    yield watching
    watching.close()


@pytest.mark.promise("Save a file of the image")
@pytest.mark.parametrize("name", ["server/app.py", "server/new.py", "Dockerfile", ".dockerignore", "k8s/deployment.yaml"])
def test_a_change_of_the_image_or_a_manifest_is_seen_and_no_other(watch: dev.Watch, project: Application, name: str) -> None:
    for other in ("docs/page.md", "server/__pycache__/app.pyc", "k8s/notes.txt", "notes.txt"):
        (project.source / other).write_text("changed")
    with (project.source / name).open("a") as file:
        file.write("# changed\n")
    assert watch.next() == {project.source / name}


def test_a_folder_that_is_new_is_watched_from_then_on(project: Application) -> None:
    (project.source / ".dockerignore").write_text("docs\n")
    watch = dev.Watch(project)
    try:
        (project.source / "package").mkdir()
        package = project.source / "package"
        assert watch.next() == {package}
        (package / "module.py").write_text("1\n")
        assert watch.next() & {package, package / "module.py"}, "it may come before the folder is watched"
        (package / "inner").mkdir()
        (package / "inner" / "module.py").write_text("1\n")
        while package / "inner" / "module.py" not in watch.next():
            (package / "inner" / "module.py").write_text("2\n")
    finally:
        watch.close()


def test_a_file_that_is_gone_is_a_change_too(watch: dev.Watch, project: Application) -> None:
    (project.source / "server" / "app.py").unlink()
    assert watch.next() == {project.source / "server" / "app.py"}


def test_what_cannot_be_watched_is_said(project: Application) -> None:
    (project.source / "k8s" / "deployment.yaml").unlink()
    (project.source / "k8s").rmdir()
    with pytest.raises(TaskError, match="cannot be watched"):
        dev.Watch(project)


@pytest.mark.parametrize(
    ("ending", "phase", "cleaned"),
    [
        (ImageError("It cannot be built."), "running", False),
        (ImageError("It cannot be built."), "missing", True),
        (KeyboardInterrupt(), "running", True),
    ],
)
def test_with_clean_only_an_interruption_removes_a_cluster_that_was_there_before(
    monkeypatch: pytest.MonkeyPatch, ending: BaseException, phase: Phase, cleaned: bool
) -> None:
    def up(_context: object) -> None:
        raise ending

    cleanings: list[tuple[bool, bool]] = []
    monkeypatch.setattr(app, "up", up)
    monkeypatch.setattr(removal, "clean", lambda _context, everything: cleanings.append((everything, interruption.is_cleaning())))
    ours = OwnProvider(changed=False)
    monkeypatch.setattr(ours, "phase", lambda: phase)
    with pytest.raises(type(ending)):
        dev.loop(run_on(ours), clean=True)
    assert cleanings == ([(True, True)] if cleaned else []), "and no signal disturbs it"


def test_with_clean_an_interruption_before_it_serves_leaves_a_cluster_of_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def up(_context: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(app, "up", up)
    monkeypatch.setattr(removal, "clean", lambda *_, **__: pytest.fail("nobody has agreed"))
    with pytest.raises(KeyboardInterrupt):
        dev.loop(run_on(FakeProvider()), clean=True)


EDITED = {PROJECT.application.source / "simple_server" / "app.py"}
BEFORE, NOW = Image(PROJECT.application, "0" * 12, "base"), Image(PROJECT.application, "1" * 12, "base")


@pytest.fixture
def rolled_out(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The builds that were rolled out."""
    found: list[str] = []

    def converge(_run: object, wanted: Desired, serve: str = "") -> None:
        assert (serve == "never") != wanted.exposed, "what is exposed may be mended first"
        found.append(wanted.image.build if wanted.image else "exposed")

    monkeypatch.setattr(Run, "image", NOW)
    monkeypatch.setattr(build, "build", lambda _run, _abandoned: NOW)
    monkeypatch.setattr(dev, "converge", converge)
    monkeypatch.setattr(dev, "wait_until_served", lambda _run, _build: 3)
    return found


def test_a_change_gets_one_line_with_the_build_that_all_pods_serve(
    rolled_out: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert dev._bring(run_on(OwnProvider(changed=False)), EDITED, BEFORE.build) == NOW.build
    assert rolled_out == [NOW.build]
    line = capsys.readouterr().out
    assert re.fullmatch(rf"\d\d:\d\d:\d\d  simple_server/app\.py: 3 pods serve {NOW.build} after 0\.\d s \(.*\)\n", line)


def test_a_service_that_was_mended_is_exposed_before_anybody_waits_for_its_answer(
    rolled_out: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_until_served(_run: object, build: str) -> int:
        assert rolled_out == [build, "exposed"]
        return 3

    monkeypatch.setattr(dev, "wait_until_served", wait_until_served)
    assert dev._bring(run_on(OwnProvider(changed=False)), {PROJECT.folder / "k8s" / "service.yaml"}, "") == NOW.build


def test_a_file_that_was_saved_without_a_change_rolls_out_nothing(
    rolled_out: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert dev._bring(run_on(OwnProvider(changed=False)), EDITED, NOW.build) == NOW.build
    assert (rolled_out, capsys.readouterr().out) == ([], "")


def test_a_failure_is_told_and_the_same_source_is_rolled_out_again_afterwards(
    rolled_out: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> Image:
        raise ImageError("It cannot be built.", "Fix it")

    made = run_on(OwnProvider(changed=False))
    with monkeypatch.context() as broken:
        broken.setattr(build, "build", fail)
        served = dev._bring(made, EDITED, BEFORE.build)
    assert "simple_server/app.py: It cannot be built.\n  Fix it\n" in capsys.readouterr().out
    monkeypatch.setattr(Run, "image", BEFORE)
    dev._bring(made, EDITED, served)
    assert rolled_out == [BEFORE.build], "what the cluster runs is not known after a failure"


def test_a_wait_that_a_newer_change_ends_is_no_failure(
    rolled_out: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run_on(OwnProvider(changed=False))

    def fail(_run: object, wanted: Desired, serve: str) -> None:
        made.superseded = lambda: True
        raise RolloutError(f"{wanted} {serve} {rolled_out}")

    monkeypatch.setattr(dev, "converge", fail)
    dev._bring(made, EDITED, BEFORE.build)
    assert capsys.readouterr().out == ""


def test_a_file_that_is_saved_again_during_the_build_ends_it_and_the_outdated_image_is_not_rolled_out(
    rolled_out: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made, saved = run_on(OwnProvider(changed=False)), threading.Event()
    made.superseded = saved.is_set

    def make(_run: object, abandoned: Callable[[], bool]) -> Image:
        saved.set()
        assert abandoned(), "a long one ends at once"
        return NOW

    monkeypatch.setattr(build, "build", make)
    assert dev._bring(made, EDITED, BEFORE.build) == ""
    assert (rolled_out, capsys.readouterr().out) == ([], "")
