"""Locks: only one run at a time, in any clone, changes a cluster or the application in a namespace."""

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import quote

from kubetasks.errors import FileError

Tell = Callable[[str], None]  # prints what the run is waiting for


@contextmanager
def cluster(name: str, lock: Path, folder: Path, tell: Tell) -> Iterator[None]:
    """Hold the lock of cluster `name`, whose files are in `folder`; report it if another run holds the lock.

    Raises FileError, before anything is changed, if the cluster's files cannot be written.
    """
    with held(lock, tell, f"Another run is creating, changing or deleting cluster {name}; waiting for it to end."):
        _require_writable(folder)
        yield


def application(cache: Path, where: str, provider: str, namespace: str, tell: Tell) -> AbstractContextManager[None]:
    """Hold the lock of the namespace in the cluster or context `where`; report it if another run holds the lock.

    Lock order: application, then cluster.
    """
    file = quote(f"{where}.{provider}.{namespace}.lock", safe="")  # a context's name may be a path
    return held(cache / file, tell, f"Another run is changing namespace {namespace} of {where}; waiting for it to end.")


@contextmanager
def held(path: Path, tell: Tell, waiting: str) -> Iterator[None]:
    """Hold the lock file `path`; report `waiting` if another run holds it. Remove the file at the end."""
    import filelock

    blocking = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path)  # if the file was removed during the wait, it locks the new one
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
    """Raise FileError if files cannot be created and removed there, which would leave a cluster half created or deleted."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    for path in (existing, *(Path(inside) for inside, _, _ in os.walk(folder))):
        if not os.access(path, os.W_OK):
            raise FileError(f"{path} cannot be written.", f"Run the same command as its owner: ls -ld {shlex.quote(str(path))}")
