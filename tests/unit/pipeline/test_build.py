"""The image of the current source is built from the Dockerfile and with the arguments that the printed command has."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from kubetasks.pipeline import build
from kubetasks.project.versions import PYTHON_IMAGE
from tests.unit.pipeline.living import world


@pytest.mark.parametrize("another", [False, True])
def test_the_command_has_the_arguments_and_the_dockerfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], another: bool
) -> None:
    file = tmp_path / "Containerfile"
    given: Any = {"dockerfile": file} if another else {}
    there = world(tmp_path, monkeypatch, dry=True, **given)
    (file if another else there.folder / "source" / "Dockerfile").write_text(
        f"ARG BASE={PYTHON_IMAGE}\nFROM ${{BASE}}\narg BUILD_ID\nARG OTHER=1\n"
    )
    made = build.build(there.run)
    words = capsys.readouterr().out.split()
    assert [word for flag, word in itertools.pairwise(words) if flag == "--build-arg"] == [
        f"BASE={made.base}",
        f"BUILD_ID={made.build}",
    ]
    assert words[-1] == (str(there.folder / "source") if another else ".")
    assert ("--file" in words, str(file) in words) == (another, another)
    assert there.engine.images == {}
