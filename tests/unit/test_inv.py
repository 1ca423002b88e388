"""The first step of all: `./inv` on a machine that lacks what it needs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from kubetasks.application import PROJECT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout without .venv, and beside it a bin/ that is the whole PATH."""
    (tmp_path / "bin").mkdir()
    for program in ("sh", "dirname", "cmp"):
        found = shutil.which(program)
        assert found
        (tmp_path / "bin" / program).symlink_to(found)
    shutil.copy(PROJECT / "inv", tmp_path)
    return tmp_path


def inv(clone: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([clone / "inv"], env={"PATH": str(clone / "bin")}, capture_output=True, text=True)


def python3(clone: Path, script: str) -> None:
    program = clone / "bin" / "python3"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_no_python_is_one_sentence(clone: Path) -> None:
    ended = inv(clone)
    assert (ended.returncode, ended.stderr) == (9, "python3 is missing: install Python 3.11 or newer.\n")


def test_a_python_that_is_too_old_is_one_sentence(clone: Path) -> None:
    python3(clone, 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    ended = inv(clone)
    assert ended.returncode == 9
    assert ended.stderr.startswith("Python 3.9.2 is too old: Python 3.11 or newer is needed")
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_names_the_package(clone: Path) -> None:
    python3(clone, 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac')
    ended = inv(clone)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (9, 1)
    assert "apt-get install python3-venv" in ended.stderr
