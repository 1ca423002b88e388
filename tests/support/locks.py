"""Locks: runs of the suite on one machine, from any clone, share its container engine."""

import contextlib
import os
from collections.abc import Callable
from functools import cache

from filelock import ReadWriteLock, Timeout

from kubetasks.project import settings

PREFIX = "tests-"  # of the lock files in the cache folder


def engine() -> ReadWriteLock:
    """Return the engine's lock: hold it for reading to use the engine, for writing to have it exclusively."""
    return _lock("engine")


def join(if_first: Callable[[], object]) -> None:
    """Count this run as in progress; if no other run is, call `if_first` first."""
    with _lock("turn").write_lock():
        _if_none(if_first)
        _lock("sessions").acquire_read()  # the operating system releases that of a killed run


def leave(if_last: Callable[[], object]) -> None:
    """Stop counting this run; if no other run is in progress, call `if_last`. Works even if `join` was interrupted."""
    with _lock("turn").write_lock():
        _lock("sessions").release(force=True)
        _if_none(if_last)


def _if_none(call: Callable[[], object]) -> None:
    with contextlib.suppress(Timeout), _lock("sessions").write_lock(blocking=False):
        call()


@cache  # without a reference, a lock is garbage-collected, and so released
def _lock(name: str) -> ReadWriteLock:
    folder = settings.cache_folder(os.environ)
    folder.mkdir(parents=True, exist_ok=True)
    return ReadWriteLock(folder / f"{PREFIX}{name}")
