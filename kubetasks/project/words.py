"""The words of messages that differ from project to project: the command, the variables, the pages and the files.

A message is made with them where it is raised, as in f"{INV} deploy". They belong to the process, which speaks of one project at
a time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
COMMAND = "kubetasks"


def pages() -> Path:
    """The pages that came with the package: the wheel has them, and an editable one lies beside them."""
    return next((folder for folder in (PACKAGE / "docs", PACKAGE.parent / "docs") if folder.is_dir()), Path("docs"))


@dataclass(frozen=True)
class Words:
    """`command` is what a person types before the name of a task, `variables` how the variables of the settings begin.

    `docs` is where the pages are, `deployment` where the deployment is written, and `mended` what a person mends if its port or
    health path is wrong.
    """

    command: str
    variables: str
    docs: str
    deployment: str
    mended: str


# of the projects that are spoken of, the last one's count; the first are for messages before a project is known
_spoken = [Words(COMMAND, "INVOKE_KUBETASKS", str(pages()), "the manifests", "the manifests")]


class Word:
    """One of the words, as it is when a message is made with it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return str(getattr(_spoken[-1], self._name))


INV, INVOKE, DOCS = Word("command"), Word("variables"), Word("docs")
DEPLOYMENT, MENDED = Word("deployment"), Word("mended")


@contextmanager
def spoken(words: Words) -> Iterator[None]:
    """Make the messages of the block with these words."""
    _spoken.append(words)
    try:
        yield
    finally:
        _spoken.pop()


def speak(words: Words) -> None:
    """Make messages with these words from now on, until the block of `spoken` ends."""
    _spoken[-1] = words
