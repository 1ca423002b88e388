"""What a run of pytest creates, noted before, in a file that outlives a run that is killed: the next one removes it.

Each process of a run holds the file's lock, shared, from its first note to its end; the operating system releases it.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from kubetasks.project import settings

Entry = dict[str, Any]


class Ledger:
    """The notes of one run, whose `token` no other run has."""

    def __init__(self, token: str) -> None:
        self.path = folder() / f"{token}.jsonl"
        self._file: IO[str] | None = None

    def note(self, **entry: Any) -> None:
        """Note what is about to be created."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a")
            fcntl.flock(self._file, fcntl.LOCK_SH)
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def end(self, remove: Callable[[Entry], None]) -> None:
        """Call `remove` for each note, the newest first, once no other process of the run is left."""
        if self._file is not None:
            self._file.close()
            self._file = None
        with _alone(self.path, wait=True) as entries:
            for entry in entries:
                remove(entry)


def folder() -> Path:
    """Where the runs of all projects have their notes."""
    return settings.cache_folder(os.environ) / "pytest"


def remove_dead(remove: Callable[[Entry], None]) -> None:
    """Call `remove` for each note of runs that were killed."""
    for path in sorted(folder().glob("*.jsonl")):
        with _alone(path, wait=False) as entries:
            for entry in entries:
                remove(entry)


@contextmanager
def _alone(path: Path, *, wait: bool) -> Iterator[list[Entry]]:
    """The notes in the file, which is removed at the end of the block if that does not fail; none if its run still goes on."""
    try:
        file = path.open()
    except FileNotFoundError:
        yield []
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield []
            return
        yield [json.loads(line) for line in reversed(file.read().splitlines())]
        path.unlink(missing_ok=True)
