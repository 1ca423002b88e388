"""Where the service answers from this machine, and which pods do: over a fresh connection each time.

A kept connection, as `kubectl port-forward` and browsers hold it, stays with one pod.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from kubetasks.kube.client import Object

HEALTH = "/healthz"  # names the pod and does not count
SECONDS = 2.0


@dataclass(frozen=True)
class Endpoint:
    """A URL and how it comes about: `mapped port`, `load balancer` or `node port`."""

    url: str
    way: str


def candidates(service: Object, mapped: tuple[int, int] | None, node_addresses: Sequence[str] = ()) -> list[Endpoint]:
    """Every URL that may answer, the one to prefer first.

    `mapped` is (node port, port of 127.0.0.1) where the cluster maps one; `node_addresses` serve where nothing else does.
    """
    port = service["spec"]["ports"][0]
    found = []
    if mapped and port.get("nodePort") == mapped[0]:
        found.append(Endpoint(f"http://127.0.0.1:{mapped[1]}/", "mapped port"))
    for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        host = ingress.get("ip") or ingress.get("hostname")
        found.append(Endpoint(f"http://{host}:{port['port']}/", "load balancer"))
    if port.get("nodePort"):
        found += [Endpoint(f"http://{address}:{port['nodePort']}/", "node port") for address in node_addresses]
    return found


def ask(url: str, path: str = "/", seconds: float = SECONDS) -> dict[str, Any] | None:
    """One GET over a connection of its own: the JSON object that comes back, or None for anything else."""
    import http.client
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    # A load balancer's address that is asked before the node knows it leaves an entry in the node's connection tracking: for two
    # minutes, whoever comes from the same port gets no further. Bound first, a socket gets an odd port; others get even ones.
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds, source_address=("", 0))
    try:
        connection.request("GET", path, headers={"Connection": "close", "Accept": "application/json"})
        response = connection.getresponse()
        document = json.loads(response.read())
        return document if response.status == 200 and isinstance(document, dict) and "pod" in document else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


@dataclass
class Spread:
    """Who answered: requests by pod, the highest count that each pod reported, its build, and how many had no answer."""

    requests: Counter[str]
    counts: dict[str, int]
    builds: dict[str, str]
    failed: int = 0


def spread(url: str, requests: int, on_answer: Callable[[int], None] = lambda _number: None) -> Spread:
    """Send `requests` GET / and note who answered."""
    result = Spread(Counter(), {}, {})
    for number in range(1, requests + 1):
        answer = ask(url)
        if answer is None:
            result.failed += 1
        else:
            pod = str(answer["pod"])
            result.requests[pod] += 1
            result.counts[pod] = max(result.counts.get(pod, 0), int(answer.get("count", 0)))
            result.builds[pod] = str(answer.get("build", ""))
        on_answer(number)
    return result


def enough(pods: int, chance: float = 1e-6) -> int:
    """How many requests leave some of `pods` unseen with at most that chance, where each request goes to any of them alike.

    By the union bound: pods * ((pods - 1) / pods) ** requests <= chance.
    """
    return 1 if pods < 2 else math.ceil(math.log(chance / pods) / math.log((pods - 1) / pods))
