"""Builds with BuildKit, with a fake docker program on PATH. The tests on clusters build with the engine's own BuildKit."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.engine import buildkit
from kubetasks.errors import EngineError, ImageError
from kubetasks.project.labels import Owner
from tests.unit.failing import raising

VARIABLES = {"DOCKER_HOST": "unix:///its/socket"}
SAYS = """\
import os, sys
print(sys.argv[1:], os.environ["DOCKER_HOST"], os.environ["DOCKER_BUILDKIT"], sys.stdin.read(), file=sys.stderr, flush=True)
"""


def engine(image: str | None = "sha256:1") -> Any:
    """Return an engine in which the built image has the id `image`, or is missing if None."""
    return SimpleNamespace(variables=VARIABLES, owner=Owner("app-tasks"), image_id=lambda _reference: image)


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that puts a docker program, written in Python, on PATH."""

    def make(lines: str) -> None:
        program = tmp_path / "docker"
        program.write_text(f"#!{sys.executable}\n{lines}")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


def test_docker_gets_the_context_the_names_and_the_arguments_for_that_engine(docker: Any) -> None:
    docker(SAYS)
    lines: list[str] = []
    buildkit.build(engine(), io.BytesIO(b"context"), ["app:1", "app:v1"], {"BASE": "base"}, lines.append, target="run")
    words = ["build", "--progress=plain", "--file=Dockerfile", "--tag=app:1", "--tag=app:v1", "--build-arg", "BASE=base"]
    words += ["--target=run", "--label=app.kubernetes.io/managed-by=app-tasks", "-"]
    assert lines == [f"{words} unix:///its/socket 1 context"]


FAILS = "import sys; print(*range(40), sep='\\n', file=sys.stderr); sys.exit('ERROR: no such step')"
FAILED = "Building app:1 with BuildKit failed:"
END = "".join(f"\n  {line}" for line in [*range(26, 40), "ERROR: no such step"])
NO_PLUGIN = "ERROR: BuildKit is enabled but the buildx component is missing or broken."
INSTALL = "Install docker-buildx, or docker-buildx-plugin from Docker's own packages, and run ./inv build again"


@pytest.mark.parametrize(
    ("docker_does", "error", "sentence", "hint"),
    [
        (FAILS, ImageError, f"{FAILED}{END}", "Fix it, and run ./inv build again"),
        (f"import sys; sys.exit({NO_PLUGIN!r})", buildkit.MissingError, f"{FAILED}\n  {NO_PLUGIN}", INSTALL),
        (SAYS, ImageError, "Built, but app:1 is not in the engine.", "docker buildx uninstall; ./inv build"),
    ],
    ids=["a step fails", "no plugin", "a builder keeps the image for itself"],
)
def test_a_build_that_gives_no_image_is_told_with_what_to_do(
    docker: Any, docker_does: str, error: type[ImageError], sentence: str, hint: str
) -> None:
    docker(docker_does)
    with pytest.raises(error) as told:
        buildkit.build(engine(image=None), io.BytesIO(), ["app:1"], {}, print)
    assert (told.value.sentence, told.value.hint) == (sentence, hint)


@pytest.mark.parametrize("then", ["import time; time.sleep(60)", "", "sys.exit(1)"])
def test_a_build_that_is_abandoned_ends_at_its_next_line_and_counts_as_that_however_it_ends(docker: Any, then: str) -> None:
    docker(f"{SAYS}{then}")
    with pytest.raises(EngineError, match="abandoned"):
        buildkit.build(engine(image=None), io.BytesIO(), ["app:1"], {}, raising(EngineError("abandoned", "")))
