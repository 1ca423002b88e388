"""The ledger of a pytest run: a file that lists everything before it is created. The next run removes what a killed one left.

What an entry names may no longer exist.

Each process of a run holds a shared lock on the file until it ends; the operating system releases the lock of a killed one.
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
Remove = Callable[[Entry, "Ledger"], None]  # gets the ledger that has the entry; may raise TaskError


class Ledger:
    """The entries of one run; no other run has its `token`."""

    def __init__(self, token: str) -> None:
        self.path = folder() / f"{token}.jsonl"
        self._file: IO[str] | None = None

    def hold(self) -> None:
        """Lock the file until this process ends, so that no other run removes what is noted."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while self._file is None:
            file = self.path.open("a")
            fcntl.flock(file, fcntl.LOCK_SH)
            if self.path.exists() and os.fstat(file.fileno()).st_ino == self.path.stat().st_ino:
                self._file = file
            else:  # another run has just removed the file, taking this run for a killed one
                file.close()

    def note(self, entry: Entry) -> None:
        """Note what is about to be created."""
        self.hold()
        assert self._file
        self._file.write(json.dumps(entry) + "\n")
        self._file.flush()

    def end(self, remove: Remove) -> list[str]:
        """Wait for the run's other processes to end, then call `remove` for each entry, newest first; return what failed."""
        if self._file is not None:
            self._file.close()
            self._file = None
        return _settle(self, remove, wait=True)

    def named_elsewhere(self, word: str) -> bool:
        """Return whether an entry of another run contains this word."""
        for path in folder().glob("*.jsonl"):
            with suppress(FileNotFoundError):  # its run has just ended
                if path != self.path and json.dumps(word) in path.read_text():
                    return True
        return False


def folder() -> Path:
    """Return the folder with the ledgers of all projects' runs."""
    return settings.cache_folder(os.environ) / NOTES


def remove_dead(remove: Remove) -> list[str]:
    """Call `remove` for the entries of killed runs; return what failed. Entries that failed stay in their ledger."""
    return [words for path in sorted(folder().glob("*.jsonl")) for words in _settle(Ledger(path.stem), remove, wait=False)]


def _settle(ledger: Ledger, remove: Remove, *, wait: bool) -> list[str]:
    """Remove what the ledger names, and keep what fails; return why. Skip a run in progress, or with `wait` wait for its end."""
    path, problems = ledger.path, list[str]()
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
                remove(entry, ledger)
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
    """Return the entries, without a last line that was cut off."""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
