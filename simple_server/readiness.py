"""Readiness: one byte of memory shared by the main process, which handles signals, and the worker, which answers."""

import mmap
from enum import IntEnum


class State(IntEnum):
    """The states that `/readyz` reports."""

    READY = 0
    NOT_READY = 1
    STOPPING = 2


class Readiness:
    """Ready at first; once stopping, always stopping. A process and its forks see each other's changes."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    @property
    def state(self) -> State:
        return State(self._byte[0])

    @property
    def stopping(self) -> bool:
        return self._byte[0] == State.STOPPING

    def stop(self) -> None:
        """Report `stopping` from now on."""
        self._byte[0] = State.STOPPING

    def set(self, ready: bool) -> None:
        """Report `ready` or `not ready`, unless stopping."""
        if not self.stopping:
            self._byte[0] = State.READY if ready else State.NOT_READY
