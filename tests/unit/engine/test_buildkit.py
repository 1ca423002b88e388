"""Builds with BuildKit: a program named docker on PATH. The tests on clusters have one with the engine's own BuildKit."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.engine import buildkit
from kubetasks.errors import EngineError, ImageError, SetupError
from kubetasks.project.labels import Owner
from tests.unit.failing import raising

VARIABLES = {"DOCKER_HOST": "unix:///its/socket"}
SAYS = """\
import os, sys
print(sys.argv[1:], os.environ["DOCKER_HOST"], os.environ["DOCKER_BUILDKIT"], sys.stdin.read(), file=sys.stderr, flush=True)
"""


def engine(image: str | None = "sha256:1") -> Any:
    """An engine that has that image after the build."""
    return SimpleNamespace(variables=VARIABLES, owner=Owner("app-tasks"), image_id=lambda _reference: image)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a program named docker of Python lines."""

    def make(lines: str) -> None:
        program = tmp_path / "docker"
        program.write_text(f"#!{sys.executable}\n{lines}")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


def test_docker_gets_the_context_the_names_and_the_arguments_for_that_engine(docker: Any) -> None:
    docker(SAYS)
    lines: list[str] = []
    buildkit.build(engine(), io.BytesIO(b"context"), ["app:1", "app:v1"], {"BASE": "base"}, lines.append)
    words = ["build", "--progress=plain", "--file=Dockerfile", "--tag=app:1", "--tag=app:v1", "--build-arg", "BASE=base"]
    words += ["--label=app.kubernetes.io/managed-by=app-tasks", "-"]
    assert lines == [f"{words} unix:///its/socket 1 context"]


def test_a_build_that_fails_is_told_with_the_end_of_its_output(docker: Any) -> None:
    docker(
        "import sys; print(*range(40), sep='\\n', file=sys.stderr); print('ERROR: no such step', file=sys.stderr); sys.exit(1)"
    )
    with pytest.raises(ImageError, match="Building app:1 with BuildKit failed") as raised:
        buildkit.build(engine(), io.BytesIO(), ["app:1"], {}, lambda _line: None)
    assert raised.value.sentence.splitlines()[1:] == [*(f"  {line}" for line in range(26, 40)), "  ERROR: no such step"]
    assert raised.value.hint == "Fix it, and run ./inv build again"


def test_a_cli_without_its_plugin_is_told_with_what_to_install(docker: Any) -> None:
    docker("import sys; sys.exit('ERROR: BuildKit is enabled but the buildx component is missing or broken.')")
    with pytest.raises(ImageError, match="buildx component is missing") as raised:
        buildkit.build(engine(), io.BytesIO(), ["app:1"], {}, lambda _line: None)
    assert raised.value.hint.startswith("Install docker-buildx")


def test_without_docker_it_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="The program docker cannot be run"):
        buildkit.build(engine(), io.BytesIO(), ["app:1"], {}, lambda _line: None)


def test_a_builder_that_keeps_the_image_for_itself_is_named(docker: Any) -> None:
    docker(SAYS)
    with pytest.raises(ImageError, match="Built, but app:1 is not in the engine") as raised:
        buildkit.build(engine(image=None), io.BytesIO(), ["app:1"], {}, lambda _line: None)
    assert "docker buildx uninstall" in raised.value.hint


@pytest.mark.parametrize("then", ["import time; time.sleep(60)", "", "sys.exit(1)"])
def test_a_build_that_is_abandoned_ends_at_its_next_line_and_counts_as_that_however_it_ends(docker: Any, then: str) -> None:
    docker(f"{SAYS}{then}")

    abandoned = raising(EngineError("abandoned", ""))
    with pytest.raises(EngineError, match="abandoned"):
        buildkit.build(engine(image=None), io.BytesIO(), ["app:1"], {}, abandoned)


@pytest.mark.parametrize(
    ("dockerfile", "needed"),
    [
        (b"FROM x\nRUN <<EOF\necho 1\nEOF\n", True),
        (b"FROM x\ncopy <<-'end' /file\nend\n", True),
        (b"FROM x\nRUN python3 -c 'print(1 << 2)'\n# RUN <<EOF\n", False),
        (b"# syntax=docker/dockerfile:1\nFROM x\nRUN --mount=type=cache,target=/x true\n", False),
    ],
)
def test_a_here_document_is_not_for_the_classic_builder(dockerfile: bytes, needed: bool) -> None:
    assert buildkit.required(dockerfile) is needed
