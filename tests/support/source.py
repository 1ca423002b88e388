"""Source: a copy of the project whose application has another build id."""

import re
import secrets
import shutil
from pathlib import Path

from tasks import PROJECT

PARTS = (
    "tasks.py",
    "ci",
    "hostengine",
    "kubetasks",
    "images",
    "nodeimages",
    "simple_server",
    "k8s",
    "requirements",
    "Dockerfile",
    ".dockerignore",
)


def changed(folder: Path) -> Path:
    """Copy the project to an empty folder, with a changed application."""
    folder.mkdir(exist_ok=True)
    for name in PARTS:
        source = PROJECT.folder / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    edit(folder)
    return folder


def build(text: str) -> str:
    """The one build id that a task named in its output."""
    (found,) = set(re.findall(r"simple-server:([0-9a-f]{12})", text))
    return str(found)


def edit_uniquely(folder: Path, line: str = "") -> None:
    """Add a line, and a comment that makes the source one that nobody has built yet."""
    edit(folder, f"{line}  # {secrets.token_hex(4)}")


def edit(folder: Path, line: str = "# changed") -> None:
    """Add a line to the application in a copy of the project."""
    with (folder / "simple_server" / "app.py").open("a") as file:
        file.write(f"\n{line}\n")
