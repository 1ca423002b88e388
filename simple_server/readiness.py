"""Whether requests should come here: one byte that the process which hears the signals and the one that answers share."""

import mmap
from enum import IntEnum


class State(IntEnum):
    """What `/readyz` says."""

    READY = 0
    NOT_READY = 1
    STOPPING = 2


class Readiness:
    """Ready from the start; stopping is for good. What one process sets, those that it forks see, and the other way round."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)

    @property
    def state(self) -> State:
        return State(self._byte[0])

    @property
    def stopping(self) -> bool:
        return self._byte[0] == State.STOPPING

    def stop(self) -> None:
        """No more requests, please: the end is near."""
        self._byte[0] = State.STOPPING

    def set(self, ready: bool) -> None:
        """Ready or not, unless stopping."""
        if not self.stopping:
            self._byte[0] = State.READY if ready else State.NOT_READY
