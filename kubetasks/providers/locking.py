"""One process at a time creates or deletes a cluster, from whichever clone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kubetasks.settings import Settings


@contextmanager
def locked(settings: Settings, gone: Callable[[], bool]) -> Iterator[None]:
    """Hold the lock of the settings' cluster; its file is removed if `gone` says at the end that there is no cluster."""
    import filelock

    settings.cache.mkdir(parents=True, exist_ok=True)
    path = settings.cache / f"{settings.state_folder.name}.lock"
    with filelock.FileLock(path):
        try:
            yield
        finally:
            if gone():
                path.unlink(missing_ok=True)
