"""Source: a copy of the project, as a commit of the working tree would contain it, with a changed application."""

import re
import secrets
import shutil
import subprocess
from pathlib import Path

from kubetasks.project.application import Source
from tasks import PROJECT

NAME = PROJECT.application.name


def built_from(folder: Path, dockerfile: str = "Dockerfile") -> Source:
    """Return what the application's image is built from if its source is `folder`."""
    return Source(NAME, folder, folder / dockerfile)


def clone(folder: Path) -> Path:
    """Copy the project to a folder."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(words, cwd=PROJECT.folder, text=True).split("\0"):
        if (PROJECT.folder / name).is_file():  # not deleted
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT.folder / name, folder / name)
    return folder


def changed(folder: Path) -> Path:
    """Copy the project to a folder and change the application; all such copies have the same build id."""
    edit(clone(folder))
    return folder


def renamed(folder: Path, name: str) -> Path:
    """Copy the project to a folder, give the application this name, and edit it uniquely."""
    for path in (clone(folder) / "tasks.py", *folder.glob("k8s/*.yaml")):
        path.write_text(re.sub(rf"\b{NAME}(?!-tasks)\b", name, path.read_text()))
    edit_uniquely(folder)
    return folder


def build(text: str) -> str:
    """Return the only build id in the output of a task."""
    (found,) = set(re.findall(rf"{NAME}:([0-9a-f]{{12}})", text))
    return str(found)


def edit_uniquely(folder: Path, line: str = "") -> None:
    """Add a line with a comment that makes the source unique, so that it has never been built."""
    edit(folder, f"{line}  # {secrets.token_hex(4)}")


def edit(folder: Path, line: str = "# changed") -> None:
    """Add a line to the application in a copy of the project."""
    with (folder / "simple_server" / "app.py").open("a") as file:
        file.write(f"\n{line}\n")
