"""Answers: who answers at a URL. Only the standard library sends the requests: the tasks' own probe cannot check itself."""

import http.client
import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

SECONDS = 3
REQUESTS = 37  # they miss one of three pods once in a million times: 3 * (2/3) ** 37


def health(url: str) -> dict[str, Any] | None:
    """Return the answer of /healthz, a request that the server does not count, or None without a valid answer."""
    return _get(f"{url.rstrip('/')}/healthz")


def pod(url: str) -> str | None:
    """Return the name of the pod that answers at the URL, or None if none does."""
    return str(answer["pod"]) if (answer := health(url)) else None


def build(url: str) -> str:
    """Return the build id that is served at the URL."""
    answer = health(url)
    assert answer, f"{url} does not answer"
    return str(answer["build"])


def text(url: str) -> str:
    """Return the body of the response to GET /."""
    status, body = _ask(url)
    assert status == http.client.OK
    return body.decode()


def silent(url: str) -> bool:
    """Return whether nothing answers, not even with an error. Another service that has the address does not count the request."""
    try:
        _ask(f"{url.rstrip('/')}/healthz", early=True)
    except OSError:
        return True
    return False


def _get(url: str) -> dict[str, Any] | None:
    try:
        status, body = _ask(url)
        document: dict[str, Any] = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    return document if status == http.client.OK else None


def _ask(url: str, *, early: bool = False) -> tuple[int, bytes]:
    """Return status and body of a GET over a new connection, without a proxy. `early`: perhaps nothing serves the address."""
    parts = urlsplit(url)
    # A request to an address that nothing serves leaves a dead conntrack entry on the node for two minutes. Bound sockets get
    # odd ports, so no other request, which has an even one, matches it.
    source = ("", 0) if early else None
    with closing(http.client.HTTPConnection(parts.netloc, timeout=SECONDS, source_address=source)) as connection:
        connection.request("GET", parts.path or "/", headers={"Accept": "application/json", "Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()


@dataclass
class Spread:
    """The number of requests that each pod answered, the last count that it reported, and the number of failed requests."""

    requests: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    failed: int = 0


def spread(url: str, requests: int) -> Spread:
    """Send GET / `requests` times, each over a new connection."""
    found = Spread()
    for _ in range(requests):
        answer = _get(url)
        if answer is None:
            found.failed += 1
        else:
            found.requests[answer["pod"]] += 1
            found.counts[answer["pod"]] = answer["count"]
    return found
