"""One process at a time creates, starts, stops or deletes a cluster, from whichever clone, if it may write what belongs to it."""

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kubetasks.errors import FileError
from kubetasks.report import Report
from kubetasks.settings import Settings


@contextmanager
def locked(settings: Settings, folder: Path, report: Report, gone: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock of the settings' cluster, whose files are in `folder`; say so if another run holds it.

    The lock's file is removed if `gone` says at the end that there is no cluster. Raises FileError before anything is changed.
    """
    import filelock

    settings.cache.mkdir(parents=True, exist_ok=True)
    path = settings.cache / f"{settings.state_folder.name}.lock"
    lock = filelock.FileLock(path)
    try:
        held = lock.acquire(blocking=False)
    except filelock.Timeout:
        report.say(f"Another run is creating, changing or deleting cluster {settings.cluster}; waiting for it to end.")
        held = lock.acquire()
    with held:
        try:
            _require_writable(folder)
            yield
        finally:
            if gone():
                path.unlink(missing_ok=True)


def _require_writable(folder: Path) -> None:
    """Raises FileError if files cannot be created and removed there: half of a cluster would be created or deleted."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    for path in (there, *(Path(inside) for inside, _, _ in os.walk(folder))):
        if not os.access(path, os.W_OK):
            raise FileError(f"{path} cannot be written.", f"Run ./inv as its owner: ls -ld {shlex.quote(str(path))}")
