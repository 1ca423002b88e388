"""The documentation as a website, built with Sphinx from the same Markdown that the repository's host shows.

`python -m ci.site` builds it in reports/site; a warning is an error.
"""

import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from invoke.collection import Collection

from kubetasks.errors import TaskError
from kubetasks.terminal import shell

FOLDER = Path(__file__).resolve().parents[1]
CHAPTERS = {  # the order of the menu
    "Learn": ("tutorial", "server", "problems"),
    "Your application": ("application", "manifests", "pytest", "ci", "examples-clock", "examples-shop"),
    "Every day": ("use", "clusters", "setup", "tasks", "SECURITY"),
    "Contribute": (
        *("CONTRIBUTING", "testing", "tests", "benchmarks", "decisions", "providers", "scale"),
        *("nodeimages", "nodeimages-data-minikube", "CHANGELOG"),
    ),
}
READMES = ("nodeimages/**", "examples/*", "benchmarks", "tests")
LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)")
FILES = "files"  # the folder of linked files that are not pages
SITE = FOLDER / "reports" / "site"
BUILD = ("tox", "run", "-e", "docs")
OPTIONS = ("--quiet", "--fail-on-warning", "--keep-going", "-c", str(FOLDER / "docs"))


def pages() -> dict[Path, str]:
    """Return the Markdown files with their names in the site."""
    found = {path: path.name for pattern in ("*.md", "docs/*.md") for path in sorted(FOLDER.glob(pattern))}
    for readme in sorted(one for part in READMES for one in FOLDER.glob(f"{part}/README.md")):
        found[readme] = "-".join(readme.parent.relative_to(FOLDER).parts) + ".md"
    return found | {FOLDER / "README.md": "index.md"}


def assemble(site: Path, ns: Collection) -> None:
    """Write the pages, with their links adapted to the site, and the files that they link to."""
    known = pages()
    for path, name in known.items():
        (site / name).write_text(_linked(path, known, site))
    (site / "tasks.md").write_text(tasks(ns))
    with (site / "index.md").open("a") as index:
        for caption, names in CHAPTERS.items():
            index.write("\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", *names, "```", ""]))


def _linked(page: Path, known: dict[Path, str], site: Path) -> str:
    def place(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(page.parent / found[1]))
        if target in known or not target.is_file():
            return known.get(target, found[1])  # Sphinx reports a missing target
        copy = Path(FILES) / target.relative_to(FOLDER)
        (site / copy).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(target, site / copy)
        return str(copy)

    return LINK.sub(place, page.read_text())


def tasks(ns: Collection) -> str:
    """Return the page of the tasks, from their docstrings and options."""
    text = ["# Tasks", "", "What `./inv --help TASK` prints.", ""]
    for name, task in sorted(ns.tasks.items()):
        # Markdown would join the lines "Example: ..." and "Undo: ..."
        text += [f"## {name}", "", re.sub(r"(?<!\n)\n(?=[A-Z][^\n]*: )", "\\\\\n", inspect.cleandoc(task.__doc__ or "")), ""]
        if task.get_arguments():
            text += ["| option | meaning |", "|---|---|"]
            text += [f"| `--{argument.name}` | {argument.help} |" for argument in task.get_arguments()] + [""]
    return "\n".join(text)


def write(html: Path, ns: Collection) -> int:
    """Build the site in the empty folder `html`. Return Sphinx's exit code."""
    with tempfile.TemporaryDirectory() as source:
        assemble(Path(source), ns)
        return subprocess.run([sys.executable, "-m", "sphinx", *OPTIONS, source, str(html)], check=False).returncode


def build() -> None:
    """Build the site in SITE. Raises TaskError if a page has an error, which Sphinx has printed."""
    if shell.show([sys.executable, "-m", *BUILD]):
        raise TaskError("The website was not built: see above.", "Fix what it names, then ./inv docs")


def server(port: int, site: Path = SITE) -> ThreadingHTTPServer:
    """Return a server for the site on 127.0.0.1. Raises TaskError if the port cannot be used."""
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(site)))
    except OSError as error:
        raise TaskError(f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}.", f"./inv docs --port={port + 1}") from error


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Log nothing: the terminal already shows the URL."""


if __name__ == "__main__":
    shutil.rmtree(SITE, ignore_errors=True)  # remove pages that no longer exist
    sys.exit(write(SITE, importlib.import_module("tasks").ns))  # tasks.py imports ci, which must not import it
