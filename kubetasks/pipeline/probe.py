"""Send requests to addresses, each over a new connection, and record which pods answer.

A kept-alive connection, such as one of a browser or of `kubectl port-forward`, stays with one pod.
"""

import itertools
import json
import math
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

from kubetasks.kube.client import HTTP_ERROR, Object
from kubetasks.kube.service import Address
from kubetasks.project.application import Application

SECONDS = 2.0
CLOSED_SECONDS = 0.3  # an open address answers within this time; a closed one may never


def ask(app: Application, url: str, path: str = "/", seconds: float = SECONDS, *, early: bool = False) -> dict[str, Any] | None:
    """Send a GET request over a new connection; return the application's JSON answer, or None for anything else.

    `early`: the address may not be served yet, or no longer.
    If the application's answers name no pod, return {} for any answer with a status below 400.
    """
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    # An early request leaves a dead conntrack entry on the node for two minutes, which a client reusing its port would hit.
    # Linux assigns odd ports to sockets that are bound before they connect, and even ones to all others.
    source = ("", 0) if early else None
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds, source_address=source)
    try:
        connection.request("GET", path, headers={"Connection": "close", "Accept": "application/json"})
        response = connection.getresponse()
        return parsed_answer(app, response.status, response.read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def parsed_answer(app: Application, status: int, text: str | bytes) -> dict[str, Any] | None:
    """Convert an answer to what `ask` returns. Raises ValueError if it is not JSON."""
    if not app.pod_key:
        return {} if 0 < status < HTTP_ERROR else None
    document = json.loads(text)
    return document if status == 200 and isinstance(document, dict) and app.pod_key in document else None


def health(app: Application, url: str, seconds: float = SECONDS) -> str | None:
    """Ask the health path, which pods do not count; return the pod's name, "" if the answer has none, None if nothing answers."""
    answer = ask(app, url, app.health, seconds, early=True)
    return None if answer is None else str(answer.get(app.pod_key, ""))


def answering(
    app: Application, addresses: Iterable[Address], seconds: float = SECONDS, pods: Container[str] | None = None
) -> list[Address]:
    """Return the addresses that answer; if `pods` are given and answers name their pod, only those where one of them answers."""
    answers = [(address, health(app, address.url, seconds)) for address in addresses]
    return [address for address, pod in answers if pod is not None and (pods is None or not app.pod_key or pod in pods)]


def growing_timeouts() -> Iterator[float]:
    """Yield the timeouts of successive requests, in seconds: short at first, as a network that is not ready drops connections."""
    return (min(SECONDS, CLOSED_SECONDS * number) for number in itertools.count(1))


def first_answering(app: Application, addresses: Iterable[Address]) -> Address | None:
    """Return the first address that answers, or None."""
    return next((address for address in addresses if health(app, address.url) is not None), None)


def spread(
    app: Application, send: Callable[[], Object | None], requests: int, on_answer: Callable[[int], None] = lambda _number: None
) -> list[Object]:
    """Call `send` `requests` times, and return a row for each pod that answered.

    A row has the pod's requests, highest count, build and node; the pod is "" if the answers name none.
    """
    pods: dict[str, Object] = {}
    for number in range(1, requests + 1):
        answer = send()
        if answer is not None:
            pod, count = str(answer.get(app.pod_key, "")), answer.get("count")
            row = pods.setdefault(pod, {"pod": pod, "requests": 0, "count": 0})
            row["requests"] += 1
            row["count"] = max(row["count"], count if isinstance(count, int) else 0)
            row |= {"build": str(answer.get("build", "")), "node": str(answer.get(app.node_key, ""))}
        on_answer(number)
    return [pods[pod] for pod in sorted(pods)]


def enough(pods: int, chance: float = 1e-6) -> int:
    """Return how many requests reach all `pods` pods with a probability of at least 1 - `chance`, if each goes to a random pod.

    By the union bound: pods * ((pods - 1) / pods) ** requests <= chance.
    """
    return 1 if pods < 2 else math.ceil(math.log(chance / pods) / math.log((pods - 1) / pods))
