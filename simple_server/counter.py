"""The request counter."""

import threading


class Counter:
    """Return 1, 2, 3, ...: each number once, also to concurrent threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    @property
    def value(self) -> int:
        """The number that `next` returned last; 0 before the first."""
        return self._count

    def next(self) -> int:
        """Add one and return the count."""
        with self._lock:
            self._count += 1
            return self._count
