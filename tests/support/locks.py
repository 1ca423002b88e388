"""Locks: runs of the suite on one machine, from whichever clone, share its container engine."""

import contextlib
import os
from collections.abc import Callable
from functools import cache

from filelock import ReadWriteLock, Timeout

from kubetasks.project import settings

PREFIX = "tests-"  # of the locks' files in the cache folder


def engine() -> ReadWriteLock:
    """The engine: hold it for reading to use the engine, for writing to have it alone."""
    return _lock("engine")


def join(if_first: Callable[[], object]) -> None:
    """Count this run as one of those that are under way; if there is no other, call `if_first` before."""
    with _lock("turn").write_lock():
        _if_none(if_first)
        _lock("sessions").acquire_read()  # that of a killed run is released by the operating system


def leave(if_last: Callable[[], object]) -> None:
    """Count this run no longer; if there is no other, call `if_last`. Works too if `join` was interrupted."""
    with _lock("turn").write_lock():
        _lock("sessions").release(force=True)
        _if_none(if_last)


def _if_none(call: Callable[[], object]) -> None:
    with contextlib.suppress(Timeout), _lock("sessions").write_lock(blocking=False):
        call()


@cache  # a lock without a reference is collected, and released with it
def _lock(name: str) -> ReadWriteLock:
    folder = settings.cache_folder(os.environ)
    folder.mkdir(parents=True, exist_ok=True)
    return ReadWriteLock(folder / f"{PREFIX}{name}")
