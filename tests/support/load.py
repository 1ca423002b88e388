"""Load: steady requests, over new and keep-alive connections, while something else happens."""

import http.client
import json
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kubetasks.testing.traffic import PAUSE, Requests
from tests.support import answers
from tests.support.eventually import until

SECONDS = 5  # timeout of a request


@dataclass
class Load(Requests):
    """Also records which builds answered and why requests failed. Only the standard library sends requests."""

    builds: set[str] = field(default_factory=set)
    reasons: list[str] = field(default_factory=list)

    def client(self, url: str, keep: bool, ended: threading.Event) -> None:
        """Send requests until `ended` is set; close a keep-alive connection when the server asks for it, as browsers do."""
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=SECONDS)
        while not ended.wait(PAUSE):
            try:
                connection.request("GET", "/", headers={} if keep else {"Connection": "close"})
                response = connection.getresponse()
                answer = json.loads(response.read())
                if response.status != 200:
                    self.reasons.append(f"{response.status} {answer}")
                self.builds.add(answer["build"])
                self.pods[answer["pod"]] += 1
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                self.reasons.append(f"{url}, connection {'kept' if keep else 'fresh'}: {error!r}")
                connection.close()
        connection.close()


@contextmanager
def load(urls: Collection[str]) -> Iterator[Load]:
    """Wait until every URL answers, then send requests until the block ends."""
    until(lambda: not any(map(answers.silent, urls)))
    made, ended = Load(), threading.Event()
    clients = [(url, keep, ended) for url in urls for keep in (False, False, True)]
    threads = [threading.Thread(target=made.client, args=client) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        ended.set()
        for thread in threads:
            thread.join()
