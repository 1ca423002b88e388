"""Locks: one run at a time changes a cluster, or the application in a namespace, from whichever clone."""

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import quote

from kubetasks.errors import FileError

Tell = Callable[[str], None]  # says what somebody waits for


@contextmanager
def cluster(name: str, lock: Path, folder: Path, tell: Tell) -> Iterator[None]:
    """Hold the lock of the cluster of that name, whose files are in `folder`; say so if another run holds it.

    Raises FileError before anything is changed, if what belongs to the cluster cannot be written.
    """
    with held(lock, tell, f"Another run is creating, changing or deleting cluster {name}; waiting for it to end."):
        _require_writable(folder)
        yield


def application(cache: Path, where: str, provider: str, namespace: str, tell: Tell) -> AbstractContextManager[None]:
    """Hold the lock of the applications in the namespace of the cluster or context `where`; say so if another task has it.

    Lock order: application, then cluster.
    """
    file = quote(f"{where}.{provider}.{namespace}.lock", safe="")  # a context's name may be a path
    return held(cache / file, tell, f"Another run is changing namespace {namespace} of {where}; waiting for it to end.")


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
