"""One run of the suite: begun once, with one cluster for its tests, and ended so that nothing of it is left.

With pytest-xdist the controller owns the run. The first worker that needs the cluster creates it; the others wait and use it.
"""

import contextlib
import json
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import BaseFileLock, FileLock, Timeout

from kubetasks.errors import TaskError
from kubetasks.terminal.report import Report
from kubetasks.testing import session
from kubetasks.testing.cluster import remove
from kubetasks.testing.ledger import Ledger, remove_dead
from tests.support import cluster, images, leftovers, locks, signals
from tests.support.driver import Tasks
from tests.support.processes import ended, started
from tests.support.waiting import until

PYTEST_KINDS_OWN_NAME = "pytest-kind"  # the default of --cluster-name: no name was requested
BUILD_SECONDS = 300
PLACES = 2  # on two cores
PLACE_SECONDS = 600
FOR_WORKERS = ("name", "cluster_name", "port", "folder", "found")


@dataclass
class Run:
    """`name` is unique; `cluster_name` is the cluster that its tests share, and `prefix` begins all other names that it gives.

    `folder` is what the processes of the run share; `found`: the cluster was there before.
    """

    config: pytest.Config
    name: str
    cluster_name: str
    port: int
    folder: str = ""
    found: bool = False
    owner: bool = True
    _begun: bool = False

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.name)  # of what the run creates in the engine; now, before a test sets another cache folder

    @property
    def prefix(self) -> str:
        return f"{self.name}-t"  # nothing of the shared cluster, which may be kept, begins like that

    @property
    def tasks(self) -> Tasks:
        """The tasks on the shared cluster."""
        return Tasks(self.cluster_name, self.port)

    def begin(self) -> None:
        """Put a person's images aside. Raises UsageError if --cluster-name cannot be used."""
        if self._begun or not self.owner:
            return
        self.found = self._find()
        self.folder = tempfile.mkdtemp(prefix=f"{self.name}-")
        self._begun = True
        with locks.engine().read_lock():
            for problem in remove_dead(remove):
                Report().say(problem)
        self.ledger.hold()
        locks.join(if_first=self._put_images_aside)

    def cluster(self) -> None:
        """Create the shared cluster, and build the application's image meanwhile, unless another process of the run has."""
        self.once("cluster", self._create)

    def once(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `make` returned to the first process of the run that asked, as JSON. If it failed, so does each that asks."""
        try:
            with locks.engine().read_lock():
                return session.once(Path(self.folder), name, make)
        except session.BrokenError as error:
            pytest.fail(f"What the tests share could not be made ({name}):\n{error}", pytrace=False)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places for tests with a cluster of their own: more at a time than PLACES only slow each other down."""
        taken = [FileLock(Path(self.folder) / f"place-{number}.lock") for number in range(PLACES)]
        until(lambda: any(lock.is_locked or _acquired(lock) for lock in taken), timeout=PLACE_SECONDS)
        try:
            yield
        finally:
            for lock in taken:
                lock.release()

    def last_use(self, name: str, uses: int) -> bool:
        """Count one use of what the processes of the run share; True if it was the last one."""
        path = Path(self.folder) / f"{name}.uses"
        with FileLock(path.with_suffix(".lock")), path.open("a") as counted:
            counted.write("1")
            counted.flush()
            return path.stat().st_size == uses

    def throwaway(self) -> Tasks:
        """The tasks on a cluster that does not exist yet, noted so that it is removed even if the run is killed."""
        tasks = Tasks(f"{self.prefix}{secrets.token_hex(2)}", cluster.any_port())
        tasks.as_cluster(self.ledger).note()
        return tasks

    def end(self) -> None:
        """Remove what the run has created, except a cluster to be kept. The last of several runs puts the images back."""
        signals.ignore()
        if not self._begun:
            return
        try:
            with locks.engine().read_lock():
                for problem in self.ledger.end(remove):
                    Report().say(problem)
                leftovers.remove(self.prefix)
        finally:
            locks.leave(if_last=images.put_back)
            shutil.rmtree(self.folder)

    def for_worker(self) -> dict[str, Any]:
        """What a pytest-xdist worker must know."""
        self.begin()
        return {name: getattr(self, name) for name in FOR_WORKERS}

    def summary(self) -> list[str]:
        """Lines for the end of pytest's output."""
        if not self._begun:
            return []
        lines: list[str] = self._known("notes").get("lines", [])
        seconds = self._known("cluster").get("seconds", {})
        if seconds:
            lines.append("The run's cluster: " + ", ".join(f"{stage} {took:.1f} s" for stage, took in seconds.items()))
        if seconds and self._kept:
            variable = "INVOKE_CLUSTER_PROVIDER"
            named = f"{variable}={os.environ[variable]} " if variable in os.environ else ""
            lines += [
                f"Cluster {self.cluster_name} is kept:",
                f"  export {named}INVOKE_CLUSTER_NAME={self.cluster_name} KUBECONFIG={self.tasks.kubeconfig}",
                "  kubectl get pods --all-namespaces; ./inv status",
                "  ./inv delete removes it; --cluster-name uses it again",
            ]
        return lines

    def _known(self, name: str) -> dict[str, Any]:
        with contextlib.suppress(FileNotFoundError):
            known: dict[str, Any] = json.loads((Path(self.folder) / f"{name}.json").read_text())
            return known
        return {}

    @property
    def _kept(self) -> bool:
        return self.found or bool(self.config.getoption("keep_cluster"))

    def _find(self) -> bool:
        """Whether the cluster exists already."""
        provider = self.tasks.provider()
        if provider.phase() == "missing":
            return False
        try:
            provider.cluster()
        except TaskError as error:
            raise pytest.UsageError(f"--cluster-name {self.cluster_name}: {error.sentence}") from None
        return True

    def _put_images_aside(self) -> None:
        left = images.put_aside()
        if left:
            told = [f"A killed run left images; put back or removed first: {', '.join(left)}"]
            session.once(Path(self.folder), "notes", lambda: {"lines": told})

    def _create(self) -> dict[str, Any]:
        """Create the shared cluster, and build the image meanwhile; return the seconds of each stage."""
        begun = time.monotonic()
        if not self._kept:
            self.tasks.as_cluster(self.ledger).note()
        seconds: dict[str, float] = {}
        with started([sys.executable, "-m", "kubetasks", "build"], self.tasks.environment) as building:
            cluster.create(self.tasks, self.config)
            seconds["cluster"] = time.monotonic() - begun
            if not self.found:
                self.tasks("start")
                seconds["load balancer"] = time.monotonic() - begun - seconds["cluster"]
            output = ended(building, BUILD_SECONDS)
            assert building.returncode == 0, f"The image could not be built:\n{output}"
        images.keep_stages()
        return {"seconds": seconds | {"all, with the image": time.monotonic() - begun}}


def _acquired(lock: BaseFileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def of(config: pytest.Config) -> Run:
    """The run that this process belongs to."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput:
        return Run(config, **workerinput["run"], owner=False)
    name = f"test-{secrets.token_hex(3)}"
    asked = str(config.getoption("cluster_name"))
    return Run(config, name, name if asked == PYTEST_KINDS_OWN_NAME else asked, cluster.any_port())
