"""Snapshots: what must be the same after a clean-up as before."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetasks.project.labels import TOOL
from tasks import PROJECT
from tests.support import locks
from tests.support.driver import Tasks, docker
from tests.support.waiting import until

PASSING = ("events", "events.events.k8s.io", "leases.coordination.k8s.io")  # the cluster writes these by itself


@dataclass(frozen=True)
class Snapshot:
    """The ids of what is in the engine, and the files in the folders that the tasks write to."""

    containers: frozenset[str]
    networks: frozenset[str]
    volumes: frozenset[str]
    images: frozenset[str]
    files: frozenset[str]

    def since(self, before: "Snapshot") -> dict[str, list[str]]:
        """What was added or removed since `before`; {} if nothing was."""
        now, then = vars(self), vars(before)
        return {name: sorted(now[name] ^ then[name]) for name in now if now[name] != then[name]}


def of_cluster(tasks: Tasks, home: Path) -> Snapshot:
    """Take a snapshot of what carries the cluster's name or our label for it, and of `home`. Others may use the engine."""
    by = (f"--filter=name={tasks.cluster}", f"--filter=label={TOOL.key('cluster')}={tasks.cluster}")  # together: with both
    kinds = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
    containers, networks, volumes = (frozenset.union(*(_ids(*kind, way) for way in by)) for kind in kinds)
    found = [path for path in tasks.settings.cache.rglob(f"*{tasks.cluster}*") if path.suffix != ".log"]
    files = _files(found, [*(PROJECT.folder / ".state").glob(f"{tasks.cluster}*"), home])
    return Snapshot(containers, networks, volumes, frozenset(), files)


def of_everything(tasks: Tasks, home: Path) -> Snapshot:
    """Take a snapshot of the engine, the clusters' state, the cache and `home`. Nobody else may use the engine."""
    kinds = (("ps", "--all", "--no-trunc"), ("network", "ls", "--no-trunc"), ("volume", "ls"), ("images", "--all", "--no-trunc"))
    cache = tasks.settings.cache
    # without the log of the last setup, which another run may write
    found = (*cache.glob("*"), *cache.glob("*/*"))
    kept = [path for path in found if path.suffix != ".log" and not path.name.startswith(locks.PREFIX)]
    containers, networks, volumes, images = (_ids(*kind) for kind in kinds)
    return Snapshot(containers, networks, volumes, images, _files(kept, [PROJECT.folder / ".state", home]))


def _ids(*words: str) -> frozenset[str]:
    return frozenset(docker(*words, "--quiet").split())


def _files(cached: Iterable[Path], places: Iterable[Path]) -> frozenset[str]:
    """What is cached, by size and time of change, and what is in `places`, by content."""
    files = {f"{path} {_stamp(path)}" if path.is_file() else str(path) for path in cached}
    for place in places:
        files |= {f"{path} {_digest(path)}" for path in (place, *place.rglob("*"))}
    return frozenset(files)


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"  # the cache is too large to be hashed each time


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def objects(tasks: Tasks, *, everywhere: bool = False) -> set[tuple[str, ...]]:
    """The (kind, namespace, name, digest) of each object in the tasks' namespace, or in the cluster; of all but its status."""
    words = ((), ("--all-namespaces",)) if everywhere else (("--namespaced=true",), (f"--namespace={tasks.namespace}",))
    kinds = tasks.kubectl("api-resources", "--verbs=list", "--output=name", *words[0]).split()
    listed = tasks.kubectl("get", ",".join(kind for kind in kinds if kind not in PASSING), *words[1], "--output=json")
    return {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"], _content_digest(one))
        for one in json.loads(listed)["items"]
    }


def settled(look: Callable[[], set[tuple[str, ...]]]) -> set[tuple[str, ...]]:
    """The objects once the cluster makes no more of its own: what two looks, one after the other, both see."""
    seen: list[set[tuple[str, ...]]] = [set()]

    def same_again() -> bool:
        seen.append(look())
        return seen[-1] == seen[-2]

    until(same_again, timeout=60)
    return seen[-1]


def _content_digest(item: dict[str, Any]) -> str:
    metadata = {name: item["metadata"].get(name) for name in ("uid", "labels", "annotations", "finalizers")}
    content = {name: value for name, value in item.items() if name not in ("metadata", "status")}
    return hashlib.sha256(json.dumps([metadata, content], sort_keys=True).encode()).hexdigest()
