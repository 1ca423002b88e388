"""Locks: one run at a time changes a cluster, or the application in a namespace, from whichever clone."""

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from kubetasks.errors import FileError
from kubetasks.project.settings import Settings

Tell = Callable[[str], None]  # says what somebody waits for


@contextmanager
def cluster(settings: Settings, folder: Path, tell: Tell) -> Iterator[None]:
    """Hold the lock of the settings' cluster, whose files are in `folder`; say so if another run holds it.

    Raises FileError before anything is changed, if what belongs to the cluster cannot be written.
    """
    waiting = f"Another run is creating, changing or deleting cluster {settings.cluster}; waiting for it to end."
    with held(settings.cache / f"{settings.state_folder.name}.lock", tell, waiting):
        _require_writable(folder)
        yield


@contextmanager
def application(settings: Settings, where: str, tell: Tell) -> Iterator[None]:
    """Hold the lock of the applications in the namespace of the cluster or context `where`; say so if another task has it.

    Lock order: application, then cluster.
    """
    waiting = f"Another run is changing namespace {settings.namespace} of {where}; waiting for it to end."
    file = quote(f"{where}.{settings.provider}.{settings.namespace}.lock", safe="")  # a context's name may be a path
    with held(settings.cache / file, tell, waiting):
        yield


@contextmanager
def held(path: Path, tell: Tell, waiting: str) -> Iterator[None]:
    """Hold the lock whose file is `path`, and say `waiting` if another run holds it. The file is removed at the end."""
    import filelock

    blocking = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)  # if the file was removed while we waited, it takes the new one
        try:
            lock.acquire(blocking=blocking)
            break
        except filelock.Timeout:
            tell(waiting)
            blocking = True
        except FileNotFoundError:  # `setup --remove` has just removed the folder
            continue
    try:
        yield
    finally:
        try:
            path.unlink(missing_ok=True)
        finally:
            lock.release()


def _require_writable(folder: Path) -> None:
    """Raises FileError if files cannot be created and removed there: half of a cluster would be created or deleted."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    for path in (there, *(Path(inside) for inside, _, _ in os.walk(folder))):
        if not os.access(path, os.W_OK):
            raise FileError(f"{path} cannot be written.", f"Type the same as its owner: ls -ld {shlex.quote(str(path))}")
