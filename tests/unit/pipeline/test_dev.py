"""The inner loop: what is watched, and what a person reads of each change."""

import dataclasses
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import ImageError, TaskError
from kubetasks.pipeline import dev
from kubetasks.project.application import Application
from kubetasks.providers.base import Cluster, Phase
from kubetasks.terminal import interruption
from tasks import PROJECT
from tests.unit.engine.fakes import FakeEngine
from tests.unit.failing import raising
from tests.unit.kube.answers import recorded
from tests.unit.kube.fakes import LiveKube
from tests.unit.pipeline.fakes import FakeProvider, OwnProvider, run_on

pytestmark = pytest.mark.timeout(60)  # a change that is not seen is waited for


@pytest.fixture
def project(tmp_path: Path) -> Application:
    """A project with an image of two files."""
    shutil.copytree(PROJECT.folder / "k8s", tmp_path / "k8s")
    for name, text in {
        "Dockerfile": "FROM scratch\n",
        ".dockerignore": "*\n!server\n**/__pycache__\n",
        "server/app.py": "1\n",
        "server/__pycache__/app.pyc": "",
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
    shutil.rmtree(project.source / "k8s")
    with pytest.raises(TaskError, match="cannot be watched"):
        dev.Watch(project)


class Ending(OwnProvider):
    """Its start ends with an error; `cleaned` says of each deletion whether a signal could have disturbed it."""

    def __init__(self, phase: Phase, ending: BaseException | None) -> None:
        super().__init__(changed=False, phase=phase)
        self._ending = ending
        self.cleaned: list[bool] = []

    def start(self) -> tuple[Cluster, bool]:
        if self._ending:
            raise self._ending
        return super().start()

    def delete(self) -> bool:
        self.cleaned.append(not interruption.is_cleaning())
        return super().delete()


@pytest.mark.parametrize(
    ("ending", "phase", "cleaned"),
    [
        (None, "running", []),
        (None, "missing", [False]),
        (KeyboardInterrupt(), "running", [False]),
    ],
)
def test_with_clean_only_an_interruption_removes_a_cluster_that_was_there_before(
    project: Application, ending: BaseException | None, phase: Phase, cleaned: list[bool]
) -> None:
    ours, engine = Ending(phase, ending), FakeEngine("simple-server:before")
    engine.building = raising(ImageError("It cannot be built."))
    with pytest.raises(type(ending) if ending else ImageError):
        dev.loop(run_on(ours, LiveKube(), app=project, engine=engine), clean=True)
    assert ours.cleaned == cleaned
    assert engine.images == (set() if cleaned else {"simple-server:before"})


def test_with_clean_an_interruption_before_it_serves_leaves_a_cluster_of_others_alone(
    project: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    kube = LiveKube(Service=[recorded("service")], Deployment=[recorded("ready")["deployment"]])
    interruptions, known = iter([KeyboardInterrupt()]), kube.get

    def get(*given: str) -> dict[str, Any] | None:
        for ending in interruptions:
            raise ending
        return known(*given)

    monkeypatch.setattr(kube, "get", get)
    with pytest.raises(KeyboardInterrupt):
        dev.loop(run_on(FakeProvider(), kube, app=project, engine=FakeEngine()), clean=True)


class Loop:
    """The application with three pods and a service, brought up to date after each change of its source."""

    def __init__(self, app: Application) -> None:
        self.app, self.served = app, ""
        self.kube, self.engine = (
            LiveKube(Service=[recorded("service")], Deployment=[recorded("ready")["deployment"]]),
            FakeEngine(),
        )
        self.run = run_on(OwnProvider(changed=False), self.kube, app=app, engine=self.engine)

    def bring(self, changed: str = "server/app.py") -> list[str]:
        """What is done after a change of that file."""
        self.kube.done.clear()
        self.served = dev._bring(self.run, {self.app.source / changed}, self.served)
        return [*self.kube.done]

    def save(self, text: str) -> None:
        (self.app.source / "server" / "app.py").write_text(text)


@pytest.fixture
def loop(project: Application, monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop(project)
    made.kube.serve(monkeypatch)
    return made


ROLLED_OUT = [f"{kind}/simple-server" for kind in ("poddisruptionbudget", "deployment")]


def test_a_change_gets_one_line_with_the_build_that_all_pods_serve(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    assert loop.bring() == [*ROLLED_OUT, "pods", "asked"]
    assert loop.served == loop.run.image.build
    stages = " .*, ".join(("building", "rolling out", "waiting for traffic"))
    served = f"3 pods serve {loop.served} after [0-9.]+ s"
    assert re.fullmatch(rf"\d\d:\d\d:\d\d  server/app\.py: {served} \({stages} .*\)\n", capsys.readouterr().out)


def test_a_service_that_was_mended_is_exposed_before_anybody_waits_for_its_answer(loop: Loop) -> None:
    done = loop.bring("k8s/service.yaml")
    assert done == [*ROLLED_OUT, "pods", "service/simple-server", "asked"]
    assert loop.bring("k8s/service.yaml") == done, "also if the image has not changed"


def test_a_file_that_was_saved_without_a_change_rolls_out_nothing(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    loop.bring()
    served, _ = loop.served, capsys.readouterr()
    assert loop.bring() == []
    assert (loop.served, capsys.readouterr().out) == (served, "")


def test_a_failure_is_told_and_the_same_source_is_rolled_out_again_afterwards(
    loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    loop.bring()
    loop.save("2")
    loop.engine.building = raising(ImageError("It cannot be built.", "Fix it"))
    assert loop.bring() == []
    assert "server/app.py: It cannot be built.\n  Fix it\n" in capsys.readouterr().out
    loop.save("1\n")
    assert loop.bring(), "what the cluster runs is not known after a failure"


@pytest.mark.parametrize("when", ["the build", "the rollout"])
def test_a_file_that_is_saved_again_ends_what_is_outdated_without_a_word(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    saved = threading.Event()
    loop.run.superseded = saved.is_set

    def build(on_line: Callable[[str], None]) -> None:
        if when == "the build":
            saved.set()
            on_line("Step 2")
            pytest.fail("a long one ends at once")

    def deliver(image: Image) -> Delivered:
        saved.set()
        return loop.run.provider.delivered(image)

    loop.engine.building = build
    monkeypatch.setattr(loop.run.provider, "deliver", deliver)
    assert loop.bring() == ([] if when == "the build" else ROLLED_OUT)
    assert (loop.served, capsys.readouterr().out) == ("", "")
