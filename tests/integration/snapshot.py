"""Snapshots: what must be the same after a clean-up as before."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetasks.application import PROJECT
from tests.integration import locks
from tests.integration.driver import Tasks

PASSING = ("events", "events.events.k8s.io", "leases.coordination.k8s.io")  # the cluster writes these by itself


@dataclass(frozen=True)
class Snapshot:
    """The ids of everything in the engine, and the files in the folders that the tasks write to."""

    containers: frozenset[str]
    networks: frozenset[str]
    volumes: frozenset[str]
    images: frozenset[str]
    files: frozenset[str]

    def since(self, before: "Snapshot") -> dict[str, list[str]]:
        """What was added or removed since `before`; {} if nothing was."""
        now, then = vars(self), vars(before)
        return {name: sorted(now[name] ^ then[name]) for name in now if now[name] != then[name]}


def take(tasks: Tasks, home: Path) -> Snapshot:
    """Take a snapshot of the engine, the clusters' state, the cache and `home`."""

    def ids(*words: str) -> frozenset[str]:
        return frozenset(subprocess.check_output(["docker", *words], text=True).split())

    cache = tasks.settings.cache
    found = [*cache.glob("*"), *cache.glob("*/*")]
    # without the log of the last setup, which another run may write
    kept = [path for path in found if path.suffix != ".log" and not path.name.startswith(locks.PREFIX)]
    files = {f"{path} {_stamp(path)}" for path in kept if path.is_file()} | {str(path) for path in kept if path.is_dir()}
    for place in (PROJECT / ".state", home):
        files |= {f"{path} {_digest(path)}" for path in place.rglob("*")}
    return Snapshot(
        ids("ps", "--all", "--quiet", "--no-trunc"),
        ids("network", "ls", "--quiet", "--no-trunc"),
        ids("volume", "ls", "--quiet"),
        ids("images", "--all", "--quiet", "--no-trunc"),
        frozenset(files),
    )


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"  # the cache is too large to be hashed each time


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def objects(tasks: Tasks) -> set[tuple[str, ...]]:
    """The (kind, namespace, name, digest) of every object in the cluster; the digest is of all but its status."""
    kinds = tasks.kubectl("api-resources", "--verbs=list", "--output=name").split()
    wanted = ",".join(kind for kind in kinds if kind not in PASSING)
    found = json.loads(tasks.kubectl("get", wanted, "--all-namespaces", "--output=json"))["items"]
    return {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"], _content_digest(one)) for one in found}


def _content_digest(item: dict[str, Any]) -> str:
    metadata = {name: item["metadata"].get(name) for name in ("uid", "labels", "annotations", "finalizers")}
    content = {name: value for name, value in item.items() if name not in ("metadata", "status")}
    return hashlib.sha256(json.dumps([metadata, content], sort_keys=True).encode()).hexdigest()
