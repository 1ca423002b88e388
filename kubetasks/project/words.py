"""The words of messages that differ between projects: the command, the variables, the documentation and the files.

A message takes them when it is created, as in f"{INV} deploy". They are global, because a process handles one project at a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
COMMAND = "kubetasks"


def pages() -> Path:
    """Return the folder of the documentation: in the package from a wheel, beside it in an editable install."""
    return next((folder for folder in (PACKAGE / "docs", PACKAGE.parent / "docs") if folder.is_dir()), Path("docs"))


@dataclass(frozen=True)
class Words:
    """`command` is what the user types before the name of a task, `variables` the start of the settings' environment variables.

    `docs` is the location of the documentation, `deployment` the file of the deployment, and `mended` what the user must fix if
    its port or health path is wrong.
    """

    command: str
    variables: str
    docs: str
    deployment: str
    mended: str


# a stack, whose last entry applies; the first entry serves messages before a project is known
_spoken = [Words(COMMAND, "INVOKE_KUBETASKS", str(pages()), "the manifests", "the manifests")]


class Word:
    """One of the words, looked up when a message is formatted."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return str(getattr(_spoken[-1], self._name))


INV, INVOKE, DOCS = Word("command"), Word("variables"), Word("docs")
DEPLOYMENT, MENDED = Word("deployment"), Word("mended")


@contextmanager
def spoken(words: Words) -> Iterator[None]:
    """Use these words in the messages of the block."""
    _spoken.append(words)
    try:
        yield
    finally:
        _spoken.pop()


def speak(words: Words) -> None:
    """Use these words in messages from now on, until the block of `spoken` ends."""
    _spoken[-1] = words
