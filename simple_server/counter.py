"""The count of one process's lifetime."""

import threading


class Counter:
    """Hands out 1, 2, 3, ...: each number once, whichever threads ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0

    @property
    def value(self) -> int:
        """The last number handed out; 0 before the first."""
        return self._count

    def next(self) -> int:
        """One more, counted."""
        with self._lock:
            self._count += 1
            return self._count
