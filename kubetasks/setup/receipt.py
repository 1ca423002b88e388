"""The receipt of what setup installed on this machine, so that it can be removed: one JSON file in the cache folder.

Only one process at a time installs or removes: a process that changes the receipt must hold `locked`.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from kubetasks.terminal import locking
from kubetasks.terminal.locking import Tell

LOCK = "setup.machine.lock"  # never a cluster's lock, because a cluster's name has no dot
NAME = "receipt.json"
NOTES = "pytest"  # the folder of the ledgers, in which pytest runs record what they create


@dataclass
class Receipt:
    """What setup installed: `packages` with apt, the engine's `folders` that did not exist before, and `pulled` images.

    `engine_pid` is the process of the engine that setup started, `engine_unit` its systemd service; at most one is set.
    """

    packages: list[str] = field(default_factory=list)
    engine_pid: int = 0
    engine_unit: str = ""
    folders: list[str] = field(default_factory=list)
    pulled: list[str] = field(default_factory=list)


def read(cache: Path) -> Receipt:
    """Read the receipt, empty if there is none. Clones share the cache: ignore fields that only a newer clone knows."""
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
    """Read the receipt, and write it at the end of the block, unless the block fails."""
    current = read(cache)
    yield current
    write(cache, current)


@contextmanager
def locked(cache: Path, tell: Tell) -> Iterator[None]:
    """Let only one process at a time install or remove something on this machine; report if another one is doing so."""
    with locking.held(cache / LOCK, tell, "Another setup is running; waiting for it to end."):
        yield
    with suppress(OSError):  # it is not empty
        cache.rmdir()


def discard(cache: Path, tell: Tell) -> None:
    """Empty the cache folder, except for lock files: if one were removed while it is held, another process could lock it too.

    Each is removed when its lock is released. Ledgers of pytest runs stay too, until what they list has been removed.
    """
    with suppress(OSError):  # it does not exist, or has ledgers
        (cache / NOTES).rmdir()
    for entry in cache.iterdir():
        if entry.name == NOTES:
            tell(f"Kept {entry}: pytest is still running, or was killed; its next run removes what is left.")
        elif entry.suffix != ".lock":
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
