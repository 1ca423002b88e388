"""Answers: who answers at a URL. Only the standard library asks: the tasks' own probe cannot be its own witness."""

import json
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

SECONDS = 3
REQUESTS = 37  # miss one of three pods once in a million times: 3 * (2/3) ** 37

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy a test has set


def health(url: str) -> dict[str, Any] | None:
    """The answer of /healthz, which is not counted; None if nobody gives one."""
    return _get(f"{url.rstrip('/')}/healthz")


def pod(url: str) -> str | None:
    """The name of the pod that answers at the URL; None if nobody does."""
    answer = health(url)
    return None if answer is None else str(answer["pod"])


def silent(url: str) -> bool:
    """Whether nothing answers at the URL, not even with an error."""
    try:
        with _direct.open(url, timeout=SECONDS):
            return False
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return True


def _get(url: str) -> dict[str, Any] | None:
    request = urllib.request.Request(url, headers={"Accept": "application/json", "Connection": "close"})
    try:
        with _direct.open(request, timeout=SECONDS) as response:
            document: dict[str, Any] = json.load(response)
            return document
    except (OSError, ValueError):
        return None


@dataclass
class Spread:
    """Requests by pod, the highest count that each pod reported, and how many requests failed."""

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
            continue
        found.requests[answer["pod"]] += 1
        found.counts[answer["pod"]] = max(found.counts.get(answer["pod"], 0), answer["count"])
    return found
