"""Requests to the application, each over a new connection, and the pods that answered them."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from kubetasks.kube.client import Object
from kubetasks.project.application import Application

PAUSE = 0.002  # seconds between two requests of a client, to leave the cluster some CPU time
ANSWER_SECONDS = 60.0


@dataclass
class Requests:
    """How many requests each pod answered ("" if answers do not name their pod), and how many got no good answer."""

    pods: Counter[str] = field(default_factory=Counter)
    failed: int = 0

    @property
    def answered(self) -> int:
        """How many requests got a good answer."""
        return self.pods.total()

    def at_least(self, requests: int) -> None:
        """Wait until `requests` requests of a load have been answered. Raises AssertionError after ANSWER_SECONDS."""
        until = time.monotonic() + ANSWER_SECONDS
        while self.answered < requests:
            assert time.monotonic() < until, f"only {self.answered} of {requests} requests were answered, {self.failed} failed"
            time.sleep(PAUSE)


class Traffic:
    """Sends requests with the function that `sending` returns: GET /, or its health path if answers do not name their pod."""

    def __init__(self, app: Application, sending: Callable[[], Callable[[], Object | None]]) -> None:
        self._app = app
        self._sending = sending

    def __call__(self, requests: int = 60) -> Requests:
        """Send `requests` requests, one after the other."""
        send, sent = self._sending(), Requests()
        for _ in range(requests):
            self._count(send(), sent)
        return sent

    @contextmanager
    def load(self, clients: int = 2) -> Iterator[Requests]:
        """Send requests from `clients` threads until the end of the block: `with k8s_traffic.load() as load: ...`."""
        send, sent, ended = self._sending(), Requests(), threading.Event()

        def client() -> None:
            while not ended.wait(PAUSE):
                self._count(send(), sent)

        threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
        for thread in threads:
            thread.start()
        try:
            yield sent
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def _count(self, answer: Object | None, sent: Requests) -> None:
        if answer is None:
            sent.failed += 1
        else:
            sent.pods[str(answer.get(self._app.pod_key, ""))] += 1
