"""One run of the suite: begun once, with one cluster for its tests, and ended so that nothing of it is left.

With pytest-xdist the controller owns the run. The first worker that needs the cluster creates it; the others wait and use it.
"""

import contextlib
import json
import os
import secrets
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from kubetasks.errors import TaskError
from tests.support import cluster, images, leftovers, locks, signals
from tests.support.driver import Tasks

PYTEST_KINDS_OWN_NAME = "pytest-kind"  # the default of --cluster-name: no name was requested
FOR_WORKERS = ("name", "cluster_name", "port", "folder", "found")


@dataclass
class Run:
    """`name` is unique and begins all other names that the run gives; `cluster_name` is the cluster that its tests share.

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
        locks.join(if_first=self._put_images_aside)

    def cluster(self) -> None:
        """Create the shared cluster, and build the application's image meanwhile, unless another process of the run has."""
        with self.once("cluster") as made:
            if "broken" not in made and "seconds" not in made:
                try:
                    made["seconds"] = self._create()
                except Exception:  # noqa: BLE001  each test that needs the cluster reports it
                    made["broken"] = f"The shared cluster could not be created.\n{traceback.format_exc()}"
        if "broken" in made:
            pytest.fail(made["broken"], pytrace=False)

    @contextmanager
    def once(self, name: str) -> Iterator[dict[str, Any]]:
        """What the processes of the run know of something that they share, as JSON; one process at a time may add to it."""
        path = Path(self.folder) / f"{name}.json"
        with locks.engine().read_lock(), FileLock(path.with_suffix(".lock")):
            known = self._known(name)
            yield known
            path.write_text(json.dumps(known))

    def throwaway(self) -> Tasks:
        """The tasks on a cluster that does not exist yet."""
        return Tasks(f"{self.name}-{secrets.token_hex(2)}", cluster.any_port())

    def end(self) -> None:
        """Remove what the run has created, except a cluster to be kept. The last of several runs puts the images back."""
        signals.ignore()
        if not self._begun:
            return
        try:
            with locks.engine().read_lock():
                for name in leftovers.our_clusters():
                    if name.startswith(f"{self.name}-") or (name == self.cluster_name and not self._kept):
                        Tasks(name, self.port).lifecycle().delete()
                leftovers.remove(f"{self.name}-")
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
        if provider.condition() == "missing":
            return False
        try:
            provider.cluster()
        except TaskError as error:
            raise pytest.UsageError(f"--cluster-name {self.cluster_name}: {error.sentence}") from None
        return True

    def _put_images_aside(self) -> None:
        left = images.put_aside()
        if left:
            note = f"A killed run left images; put back or removed first: {', '.join(left)}"
            (Path(self.folder) / "notes.json").write_text(json.dumps({"lines": [note]}))

    def _create(self) -> dict[str, float]:
        """The seconds of each stage."""
        started = time.monotonic()
        seconds: dict[str, float] = {}
        with ThreadPoolExecutor() as beside:
            image = beside.submit(self.tasks.typed, "build")
            cluster.create(self.tasks, self.config)
            seconds["cluster"] = time.monotonic() - started
            if not self.found:
                self.tasks("start")
                seconds["load balancer"] = time.monotonic() - started - seconds["cluster"]
            image.result()
        images.keep_stages()
        return seconds | {"all, with the image": time.monotonic() - started}


def of(config: pytest.Config) -> Run:
    """The run that this process belongs to."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput:
        return Run(config, **workerinput["run"], owner=False)
    name = f"test-{secrets.token_hex(3)}"
    asked = str(config.getoption("cluster_name"))
    return Run(config, name, name if asked == PYTEST_KINDS_OWN_NAME else asked, cluster.any_port())
