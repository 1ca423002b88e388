"""Answers: who answers at a URL. Only the standard library asks: the tasks' own probe cannot be its own witness."""

import http.client
import json
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

SECONDS = 3
REQUESTS = 37  # miss one of three pods once in a million times: 3 * (2/3) ** 37


def health(url: str) -> dict[str, Any] | None:
    """The answer of /healthz, which is not counted; None if nobody gives one."""
    return _get(f"{url.rstrip('/')}/healthz")


def pod(url: str) -> str | None:
    """The name of the pod that answers at the URL; None if nobody does."""
    return str(answer["pod"]) if (answer := health(url)) else None


def build(url: str) -> str:
    """The build id that answers at the URL."""
    answer = health(url)
    assert answer, f"{url} does not answer"
    return str(answer["build"])


def text(url: str) -> str:
    """The body of the answer to GET /."""
    status, body = _ask(url)
    assert status == http.client.OK
    return body.decode()


def silent(url: str) -> bool:
    """Whether nothing answers at the URL, not even with an error. It is not counted: another service may have the address."""
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
    """Status and body of a GET over a new connection, whatever proxy a test has set. `early`: nobody may serve the address."""
    parts = urlsplit(url)
    # A request to an address that nobody serves leaves a dead conntrack entry on the node for two minutes. Bound sockets have
    # odd ports, so that no other request, from an even one, meets it.
    source = ("", 0) if early else None
    with closing(http.client.HTTPConnection(parts.netloc, timeout=SECONDS, source_address=source)) as connection:
        connection.request("GET", parts.path or "/", headers={"Accept": "application/json", "Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()


@dataclass
class Spread:
    """Requests by pod, the last count that each pod reported, and how many requests failed."""

    requests: Counter[str] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    failed: int = 0


def spread(url: str, requests: int) -> Spread:
    """Send GET / so many times, each over a new connection."""
    found = Spread()
    for _ in range(requests):
        answer = _get(url)
        if answer is None:
            found.failed += 1
        else:
            found.requests[answer["pod"]] += 1
            found.counts[answer["pod"]] = answer["count"]
    return found
