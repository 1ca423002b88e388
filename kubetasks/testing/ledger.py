"""The ledger of a run of pytest: all that it creates, noted before in a file. The next run removes what a killed one left.

What is noted may have gone since.

Each process of a run holds the file's lock, shared, until its end; the operating system releases it.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from kubetasks.errors import TaskError
from kubetasks.project import settings
from kubetasks.setup.receipt import NOTES
from kubetasks.testing import shared_folder

Entry = dict[str, Any]
Remove = Callable[[Entry], None]  # may raise TaskError


class Ledger:
    """The notes of one run, whose `token` no other run has."""

    def __init__(self, token: str) -> None:
        self.path = folder() / f"{token}.jsonl"
        self._file: IO[str] | None = None

    def hold(self) -> None:
        """Let no other run remove what is noted, until this process ends."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while self._file is None:
            file = self.path.open("a")
            fcntl.flock(file, fcntl.LOCK_SH)
            if self.path.exists() and os.fstat(file.fileno()).st_ino == self.path.stat().st_ino:
                self._file = file
            else:  # another run has just taken it for one that was killed
                file.close()

    def note(self, entry: Entry) -> None:
        """Note what is about to be created."""
        self.hold()
        assert self._file
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def end(self, remove: Remove) -> list[str]:
        """Call `remove` for what is noted, the newest first, once no other process of the run is left; return what failed."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return _settle(self.path, remove, wait=True)

    def named_elsewhere(self, word: str) -> bool:
        """Whether another run has noted something with that word in it."""
        for path in folder().glob("*.jsonl"):
            with suppress(FileNotFoundError):  # its run has just ended
                if path != self.path and json.dumps(word) in path.read_text():
                    return True
        return False


def folder() -> Path:
    """Where the runs of all projects have their notes."""
    return settings.cache_folder(os.environ) / NOTES


def remove_dead(remove: Remove) -> list[str]:
    """Call `remove` for what runs that were killed have noted; return what failed, and is noted still."""
    return [words for path in sorted(folder().glob("*.jsonl")) for words in _settle(path, remove, wait=False)]


def _settle(path: Path, remove: Remove, *, wait: bool) -> list[str]:
    """Remove what the file notes, unless its run goes on; it stays with what could not be removed. Return why."""
    problems: list[str] = []
    try:
        file = path.open("r+")
    except FileNotFoundError:
        return []
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return []
        left: list[Entry] = []
        for entry in reversed(_entries(file.read())):
            try:
                remove(entry)
            except TaskError as error:
                left.insert(0, entry)
                problems.append(f"{error.message}\n  rm {path} forgets it")
        if left:
            file.seek(0)
            file.truncate()
            file.writelines(json.dumps(entry) + "\n" for entry in left)
        else:
            path.unlink(missing_ok=True)
            shutil.rmtree(shared_folder(path.stem), ignore_errors=True)
    return problems


def _entries(text: str) -> list[Entry]:
    """The entries; a last line that was cut off is left out."""
    entries: list[Entry] = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [entry for entry in entries if "gone" not in entry]  # which an earlier version has written
