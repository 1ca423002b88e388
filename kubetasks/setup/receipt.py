"""The receipt of what setup installed on this machine, so that it can be removed: one JSON file in the cache folder.

One process at a time installs or removes; `locked` is held by whoever changes the receipt.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from kubetasks.terminal import locking
from kubetasks.terminal.locking import Tell

LOCK = "setup.machine.lock"  # a cluster's name has no dot, so that none has this lock
NAME = "receipt.json"
NOTES = "pytest"  # the folder in which runs of pytest note what they create


@dataclass
class Receipt:
    """`packages`: installed with apt by setup; `folders`: of the engine that did not exist before; `pulled`: pulled images.

    `engine_pid` is the process of the engine that setup started, `engine_unit` its systemd service; at most one is set.
    """

    packages: list[str] = field(default_factory=list)
    engine_pid: int = 0
    engine_unit: str = ""
    folders: list[str] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)


def read(cache: Path) -> Receipt:
    """Read the receipt. The cache is shared by clones: fields that only a newer one knows are left out."""
    if not (cache / NAME).exists():
        return Receipt()
    known = {field.name for field in fields(Receipt)}
    return Receipt(**{name: value for name, value in json.loads((cache / NAME).read_text()).items() if name in known})


def write(cache: Path, receipt: Receipt) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    fresh = cache / f"{NAME}.new"
    fresh.write_text(json.dumps(asdict(receipt), indent=2))
    fresh.rename(cache / NAME)


@contextmanager
def changed(cache: Path) -> Iterator[Receipt]:
    """Read the receipt, and write it at the end of the block unless that fails."""
    made = read(cache)
    yield made
    write(cache, made)


@contextmanager
def locked(cache: Path, tell: Tell) -> Iterator[None]:
    """Let one process at a time install or remove something on this machine; say so if another one does."""
    with locking.held(cache / LOCK, tell, "Another setup is running; waiting for it to end."):
        yield
    with suppress(OSError):  # there is something else in it
        cache.rmdir()


def discard(cache: Path, tell: Tell) -> None:
    """Empty the cache folder but for locks: who holds one would share it with the next to ask. Each goes at its own end.

    What runs of pytest have noted stays too: it goes with what is noted.
    """
    with suppress(OSError):  # it is not there, or has notes
        (cache / NOTES).rmdir()
    for entry in cache.iterdir():
        if entry.name == NOTES:
            tell(f"Kept {entry}: pytest is still running, or was killed; its next run removes what is left.")
        elif entry.suffix != ".lock":
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
