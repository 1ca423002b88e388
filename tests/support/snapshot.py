"""Snapshots of what a clean-up must leave as it was. The symmetric difference of two is what was added, removed or changed."""

import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kubetasks.project.labels import TOOL
from tasks import PROJECT
from tests.support import locks
from tests.support.driver import Tasks, docker
from tests.support.eventually import until

Snapshot = set[str]  # a line for each object in the engine and each file
KINDS = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
PASSING = ("events", "events.events.k8s.io", "leases.coordination.k8s.io")  # the cluster writes these on its own


def of_cluster(tasks: Tasks, home: Path) -> Snapshot:
    """Take a snapshot of what has the cluster's name or its label, and of `home`. Other tests may use the engine meanwhile."""
    ways = (f"--filter=name={tasks.cluster}", f"--filter=label={TOOL.key('cluster')}={tasks.cluster}")  # both at once: AND
    engine = set().union(*(_listed(kind, way) for kind in KINDS for way in ways))
    cached = tasks.settings.cache.rglob(f"*{tasks.cluster}*")
    return engine | _files(cached, [*(PROJECT.folder / ".state").glob(f"{tasks.cluster}*"), home])


def of_everything(tasks: Tasks, home: Path) -> Snapshot:
    """Take a snapshot of the engine, the clusters' state, the cache and `home`. No other test may use the engine meanwhile."""
    engine = set().union(*map(_listed, (*KINDS, ("images", "--all"))))
    cache = tasks.settings.cache
    cached = [path for path in (*cache.glob("*"), *cache.glob("*/*")) if not path.name.startswith(locks.PREFIX)]
    return engine | _files(cached, [PROJECT.folder / ".state", home])


def _listed(kind: tuple[str, ...], *filters: str) -> Snapshot:
    return {f"{kind[0]} {found}" for found in docker(*kind, *filters, "--quiet").split()}


def _files(cached: Iterable[Path], places: Iterable[Path]) -> Snapshot:
    """Return the cached files by size and modification time, because they are large, and those in `places` by content."""
    # another run may write the log of the last setup, and its own ledger
    large = [path for path in cached if path.suffix not in (".log", ".jsonl")]
    small = [path for place in places for path in (place, *place.rglob("*"))]
    found = {f"{path} {path.stat().st_size} {path.stat().st_mtime_ns}" if path.is_file() else str(path) for path in large}
    return found | {f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else str(path) for path in small}


def objects(tasks: Tasks, *, everywhere: bool = False) -> set[tuple[str, ...]]:
    """Return (kind, namespace, name, content) of each object in the tasks' namespace or `everywhere`, without its status."""
    words = ((), ("--all-namespaces",)) if everywhere else (("--namespaced=true",), (f"--namespace={tasks.namespace}",))
    kinds = tasks.kubectl("api-resources", "--verbs=list", "--output=name", *words[0]).split()
    listed = tasks.kubectl("get", ",".join(kind for kind in kinds if kind not in PASSING), *words[1], "--output=json")
    found = [(one["kind"], one["metadata"], _content(one)) for one in json.loads(listed)["items"]]
    return {(kind, metadata.get("namespace", ""), metadata["name"], content) for kind, metadata, content in found}


def settled(look: Callable[[], set[tuple[str, ...]]]) -> set[tuple[str, ...]]:
    """Return the objects once the cluster creates no more on its own: when two successive calls of `look` return the same."""
    seen: list[set[tuple[str, ...]]] = [set()]

    def same_again() -> bool:
        seen.append(look())
        return seen[-1] == seen[-2]

    until(same_again, timeout=60)
    return seen[-1]


def _content(item: dict[str, Any]) -> str:
    metadata = {name: item["metadata"].get(name) for name in ("uid", "labels", "annotations", "finalizers")}
    content = {name: value for name, value in item.items() if name not in ("metadata", "status")}
    return json.dumps([metadata, content], sort_keys=True)
