"""Load: steady requests, over fresh and kept connections, while something else happens."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support import answers
from tests.support.eventually import eventually

SECONDS = 5  # limit for an answer
PAUSE = 0.002  # seconds between two requests of a client: leaves the cluster some of the processor


@dataclass
class Load:
    """`answered` counts by pod and build; `failed` holds the reasons."""

    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def builds(self) -> set[str]:
        return {build for _, build in self.answered}

    def client(self, url: str, keep: bool) -> None:
        """Send requests until the end; close a kept connection when the server asks for it, as browsers do."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
        while not self._ended.wait(PAUSE):
            try:
                connection.request("GET", "/", headers={} if keep else {"Connection": "close"})
                response = connection.getresponse()
                answer = json.loads(response.read())
                self.answered[answer["pod"], answer["build"]] += 1
                if response.status != 200:
                    self.failed.append(f"{response.status} {answer}")
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.failed.append(f"{url}, connection {'kept' if keep else 'fresh'}: {error!r}")
                connection.close()
        connection.close()

    @eventually(60)
    def at_least(self, requests: int) -> None:
        """Wait until so many requests have been answered."""
        assert self.answered.total() >= requests

    def end(self) -> None:
        self._ended.set()


@eventually(30)
def answering(url: str) -> None:
    assert not answers.silent(url), f"{url} does not answer"


@contextmanager
def load(urls: Iterable[str]) -> Iterator[Load]:
    """Wait until every URL answers, then send requests until the block ends."""
    urls = list(urls)
    for url in urls:
        answering(url)
    running = Load()
    threads = [threading.Thread(target=running.client, args=(url, keep)) for url in urls for keep in (False, False, True)]
    for thread in threads:
        thread.start()
    try:
        yield running
    finally:
        running.end()
        for thread in threads:
            thread.join()
