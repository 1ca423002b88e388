"""The build id, which is the same for the same source and differs for any other; and how an image is built."""

import dataclasses
import os
import tarfile
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import IO, Any

import pytest

from kubetasks.engine import buildkit, content, image
from kubetasks.engine.client import BuildKitNeededError, LayerGoneError
from kubetasks.engine.content import context_entries, read_context
from kubetasks.errors import ImageError, SetupError, TaskError
from kubetasks.project.application import Source
from kubetasks.project.versions import PYTHON_IMAGE
from tasks import PROJECT
from tests.support.source import built_from
from tests.unit.engine.fakes import FakeEngine
from tests.unit.failing import raising


def source(folder: Path, change: Callable[[Path], object] = lambda _folder: None) -> IO[bytes]:
    """Write a small source, apply `change` to it, and return its build context."""
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM x")
    (folder / "app.py").write_text("1")
    change(folder)
    return read_context(folder)


CHANGES: list[Callable[[Path], object]] = [
    lambda folder: (folder / "app.py").write_text("2"),
    lambda folder: (folder / "new.py").touch(),
    lambda folder: (folder / "app.py").rename(folder / "main.py"),
    lambda folder: (folder / "app.py").chmod(0o755),
    lambda folder: (folder / "link").symlink_to("app.py"),
    lambda folder: (folder / "link").symlink_to("other.py"),
    lambda folder: (folder / "link").mkdir(),
]


def current(folder: Path, dockerfile: str = "FROM scratch\n", base: str = "base") -> image.Image:
    """Write a Dockerfile, and return the application's image as if `folder` were its source."""
    (folder / "Dockerfile").write_text(dockerfile, encoding="latin-1")
    return image.current(built_from(folder), base)


def test_it_depends_on_everything_in_the_context_and_on_the_base_and_on_no_folder_or_time(tmp_path: Path) -> None:
    one, other = source(tmp_path / "one"), source(tmp_path / "other", lambda folder: os.utime(folder / "app.py", (1, 1)))
    contents = [one, other, *(source(tmp_path / str(number), change) for number, change in enumerate(CHANGES))]
    ids = {image.build_id(each, "base") for each in contents} | {image.build_id(content.rewind(one), "other")}
    assert len(ids) == len(CHANGES) + 2


def test_a_large_context_is_not_held_in_memory(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with (tmp_path / "large").open("wb") as large:
        large.truncate(4 * content.IN_MEMORY)
    tracemalloc.start()
    try:
        packed = content.labelled(read_context(tmp_path), "Dockerfile", {"a": "b"})
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 3 * content.IN_MEMORY
    assert content.read_file(packed, "Dockerfile") == b"FROM scratch\nLABEL a=b\n"


def test_the_context_holds_the_server_and_nothing_else() -> None:
    names = set(context_entries(PROJECT.folder))
    assert {"simple_server/app.py", "requirements/server.txt"} <= names
    assert not [name for name in names if name.startswith(("kubetasks", "tests", ".git", ".venv"))]
    assert not [name for name in names if "__pycache__" in name]


def test_it_is_packed_as_docker_build_does_and_everybody_may_read_it_whatever_the_umask(tmp_path: Path) -> None:
    folder = tmp_path / "app"
    folder.mkdir(mode=0o700)
    (folder / "empty").mkdir(mode=0o700)
    for name, mode in (("Dockerfile", 0o600), ("app/main.py", 0o600), ("app/run", 0o700)):
        (tmp_path / name).touch(mode)
    (folder / "link").symlink_to("nowhere")
    (folder / "parent").symlink_to("..")
    (tmp_path / ".state" / "shop").mkdir(parents=True)
    (tmp_path / ".state" / "shop" / "kubeconfig").write_text("a key")  # a cluster's, so it must not get into the image
    with tarfile.open(fileobj=current(tmp_path).content) as archive:
        entries = archive.getmembers()
    assert {entry.name: (entry.type, entry.linkname or entry.mode) for entry in entries} == {
        "Dockerfile": (tarfile.REGTYPE, 0o644),
        "app": (tarfile.DIRTYPE, 0o755),
        "app/empty": (tarfile.DIRTYPE, 0o755),
        "app/link": (tarfile.SYMTYPE, "nowhere"),
        "app/main.py": (tarfile.REGTYPE, 0o644),
        "app/parent": (tarfile.SYMTYPE, ".."),
        "app/run": (tarfile.REGTYPE, 0o755),
    }


@pytest.mark.parametrize(
    ("dockerfile", "declared"),
    [("FROM node:22", []), ("ARG BASE=node:22\nFROM ${BASE}", []), ('FROM scratch\nARG A="x y" BUILD_ID\n# \xff', ["BUILD_ID"])],
)
def test_a_dockerfile_gets_no_argument_that_it_does_not_declare_and_no_other_base(
    tmp_path: Path, dockerfile: str, declared: list[str]
) -> None:
    made = current(tmp_path, dockerfile)
    assert (made.base, dict(made.arguments)) == ("", dict.fromkeys(declared, made.build))
    assert current(tmp_path, dockerfile, "another").reference == made.reference


def test_the_target_and_the_arguments_of_the_table_are_part_of_the_build_id_and_win(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"ARG BASE={PYTHON_IMAGE}\nFROM $BASE AS a\nARG MODE=1\nFROM a\n")
    given: list[dict[str, Any]] = [{}, {"target": "a"}, {"args": {"MODE": "2"}}, {"args": {"a": ""}}, {"args": {"BASE": "mine"}}]
    made = [image.current(dataclasses.replace(built_from(tmp_path), **more), "base") for more in given]
    assert len({one.build for one in made}) == len(given)
    assert [one.arguments["BASE"] for one in made] == [*["base"] * 4, "mine"]


@pytest.mark.parametrize(
    ("reference", "known"),
    [("a:1", "docker.io/library/a:1"), ("org/a:1", "docker.io/org/a:1"), ("reg.io/a:1", "reg.io/a:1"), ("h:5/a", "h:5/a")],
)
def test_a_node_knows_an_image_by_its_full_name(reference: str, known: str) -> None:
    assert image.full(reference) == known
    assert image.familiar(known).startswith(reference)


def test_what_an_interrupted_build_leaves_of_our_own_image_carries_our_label() -> None:
    stages = (PROJECT.folder / "Dockerfile").read_text().split("\nFROM ")[1:]
    label = f"LABEL {PROJECT.application.owner.selector}"
    assert [stage for stage in stages if label not in "\n".join(stage.splitlines()[:3])] == []


REFUSING = raising(BuildKitNeededError("Building it failed: the --mount option requires BuildKit\n  Step 1", "Fix it"))


@pytest.fixture
def engine() -> Any:
    """An engine that has the base image."""
    return FakeEngine("base")


@pytest.mark.parametrize(
    ("dockerfile", "asked", "preferred"),
    [
        ("FROM base\nRUN --mount=type=cache python3 -c 'print(1 << 2)'\n# RUN <<EOF\n", 1, False),
        ("FROM base\nRUN <<EOF\necho 1\nEOF\n", 0, False),
        ("FROM base\n", 0, True),
    ],
    ids=["the classic builder refuses it", "a here-document", "the engine asks for it"],
)
def test_what_is_built_with_buildkit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: Any, dockerfile: str, asked: int, preferred: bool
) -> None:
    engine.building, engine.buildkit = REFUSING, preferred
    with_buildkit: list[str] = []

    def builds(_engine: object, context: Any, names: list[str], *_more: object) -> None:
        with tarfile.open(fileobj=context) as archive:
            assert archive.getnames() == ["Dockerfile"]
        with_buildkit.extend(names)

    monkeypatch.setattr(buildkit, "build", builds)
    made = current(tmp_path, dockerfile)
    image.build(engine, made, made.names, print)
    assert (with_buildkit, len(engine.built)) == (made.names, asked)


@pytest.mark.parametrize("missing", [buildkit.MissingError("no buildx"), SetupError("no docker")])
def test_an_engine_that_asks_for_buildkit_builds_without_it_if_the_docker_cli_cannot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: Any, missing: TaskError
) -> None:
    engine.buildkit = True
    monkeypatch.setattr(buildkit, "build", raising(missing))
    made = current(tmp_path)
    image.build(engine, made, made.names, print)
    assert engine.built == [made.reference]


def test_if_buildkit_fails_too_both_reasons_are_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: Any) -> None:
    engine.building = REFUSING
    monkeypatch.setattr(buildkit, "build", raising(ImageError("Building it with BuildKit failed:\n  no buildx", "Install it")))
    made = current(tmp_path)
    with pytest.raises(ImageError) as raised:
        image.build(engine, made, made.names, print)
    both = "Building it failed: the --mount option requires BuildKit\nBuilding it with BuildKit failed:\n  no buildx"
    assert (raised.value.sentence, raised.value.hint) == (both, "Install it")


@pytest.mark.parametrize(("removed", "built"), [(1, 2), (3, 3)])
def test_a_build_whose_cached_layer_another_run_removes_is_made_again(
    tmp_path: Path, engine: Any, removed: int, built: int
) -> None:
    made = current(tmp_path)

    def building(_on_line: object) -> None:
        if len(engine.built) <= removed:
            raise LayerGoneError("Building it failed: failed to get digest sha256:1", "Run it again")

    engine.building = building
    with nullcontext() if removed < built else pytest.raises(ImageError, match="failed to get digest"):
        image.build(engine, made, made.names, print)
    assert engine.built == [made.reference] * built


def test_each_stage_gets_the_labels_and_nothing_else_changes(tmp_path: Path) -> None:
    lines = ["# FROM a comment", "from a AS build", "RUN echo FROM here", "FROM \\", "  b", "COPY --from=build /x /"]
    (tmp_path / "Dockerfile").write_text("\n".join(lines) + "\n")
    (tmp_path / "x").write_text("FROM x\n")
    (tmp_path / "nowhere").symlink_to("/usr/bin/python3")
    made = content.labelled(read_context(tmp_path), "Dockerfile", {"a/b": "c"})
    labelled = [*lines[:2], "LABEL a/b=c", *lines[2:5], "LABEL a/b=c", lines[5]]
    assert content.read_file(made, "Dockerfile").decode().splitlines() == labelled
    assert content.read_file(made, "x") == b"FROM x\n"
    with tarfile.open(fileobj=content.rewind(made)) as archive:
        assert archive.getmember("nowhere").linkname == "/usr/bin/python3"


@pytest.mark.parametrize(
    ("dockerfile", "asks"),
    [(f"ARG BASE={PYTHON_IMAGE}\nFROM $BASE\n", True), ("ARG BASE=scratch\nFROM $BASE\n", False), ("", False)],
)
def test_only_a_dockerfile_that_has_the_pinned_base_as_a_default_asks_for_it(tmp_path: Path, dockerfile: str, asks: bool) -> None:
    if dockerfile:
        (tmp_path / "Dockerfile").write_text(dockerfile)
    assert image.asks_for_base(dataclasses.replace(PROJECT.application, source=built_from(tmp_path))) == asks


@pytest.mark.parametrize(("name", "called"), [("other/Dockerfile", ".dockerfile"), ("context/Containerfile", "Containerfile")])
def test_another_dockerfile_than_the_contexts_own_is_built_and_told_if_missing(tmp_path: Path, name: str, called: str) -> None:
    folder, file = tmp_path / "context", tmp_path / name
    for one in (folder, file.parent):
        one.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text("FROM wrong\n")
    file.write_text("FROM right\n")
    given = Source("app", folder, file)
    packed = image.current(given, "base").content
    assert packed
    assert content.read_file(packed, called) == b"FROM right\n"
    assert content.read_file(packed, "Dockerfile") == b"FROM wrong\n"
    file.unlink()
    with pytest.raises(ImageError, match=f"There is no {file.name} in {file.parent}"):
        image.current(given, "base")
