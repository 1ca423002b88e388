"""One run of the suite: begun once, with one cluster for its tests, and ended so that nothing of it is left.

With pytest-xdist the controller owns the run; the workers use its cluster.
"""

import os
import secrets
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from kubetasks.errors import TaskError
from tests.integration import cluster, images, leftovers, locks, signals
from tests.integration.driver import Tasks

PYTEST_KINDS_OWN_NAME = "pytest-kind"  # the default of --cluster-name: no name was requested
FOR_WORKERS = ("name", "cluster_name", "port", "broken")


@dataclass
class Run:
    """`name` is unique and begins all other names that the run gives; `cluster_name` is the cluster that its tests share.

    `broken` says why the controller could not create that cluster.
    """

    config: pytest.Config
    name: str
    cluster_name: str
    port: int
    broken: str = ""
    owner: bool = True
    _begun: bool = False
    _found: bool = False
    _created: bool = False
    _timings: dict[str, float] = field(default_factory=dict)  # seconds by stage
    _notes: list[str] = field(default_factory=list)

    @property
    def tasks(self) -> Tasks:
        """The tasks on the shared cluster."""
        return Tasks(self.cluster_name, self.port)

    def begin(self) -> None:
        """Put a person's images aside and build the tests' own. Raises UsageError if --cluster-name cannot be used."""
        if self._begun or not self.owner:
            return
        self._found = self._find()
        self._begun = True
        locks.join(if_first=self._put_images_aside)
        with locks.engine().read_lock(), self._timed("image"):
            self.tasks("build")
            images.keep_stages()

    def cluster(self) -> None:
        """Create the shared cluster on the first call."""
        if self.broken:
            pytest.fail(self.broken, pytrace=False)
        if not self._created:
            with locks.engine().read_lock():
                self._create()
            self._created = True

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

    def for_worker(self) -> dict[str, Any]:
        """What a pytest-xdist worker must know, once the cluster exists or is known to be broken."""
        self.begin()
        if not self.broken:
            try:
                self.cluster()
            except Exception:  # noqa: BLE001  each test that needs the cluster reports it
                self.broken = f"The shared cluster could not be created.\n{traceback.format_exc()}"
        return {name: getattr(self, name) for name in FOR_WORKERS}

    def summary(self) -> list[str]:
        """Lines for the end of pytest's output."""
        lines = list(self._notes)
        if self._timings:
            lines.append("The run's cluster: " + ", ".join(f"{stage} {took:.1f} s" for stage, took in self._timings.items()))
        if self._created and self._kept:
            variable = "INVOKE_CLUSTER_PROVIDER"
            named = f"{variable}={os.environ[variable]} " if variable in os.environ else ""
            lines += [
                f"Cluster {self.cluster_name} is kept:",
                f"  export {named}INVOKE_CLUSTER_NAME={self.cluster_name} KUBECONFIG={self.tasks.kubeconfig}",
                "  kubectl get pods --all-namespaces; ./inv status",
                "  ./inv delete removes it; --cluster-name uses it again",
            ]
        return lines

    @property
    def _kept(self) -> bool:
        return self._found or bool(self.config.getoption("keep_cluster"))

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
            self._notes.append(f"A killed run left images; put back or removed first: {', '.join(left)}")

    def _create(self) -> None:
        with self._timed("cluster"):
            cluster.create(self.tasks, self.config)
        if self.owner and not self._found:
            with self._timed("load balancer"):
                self.tasks("start")
            with self._timed("first deployment"):
                self.tasks("build", "deploy")  # since `begin`, a test of another run may have removed the image
                self.tasks("undeploy")

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self._timings[stage] = time.monotonic() - started


def of(config: pytest.Config) -> Run:
    """The run that this process belongs to."""
    workerinput = getattr(config, "workerinput", None)
    if workerinput:
        return Run(config, **workerinput["run"], owner=False)
    name = f"test-{secrets.token_hex(3)}"
    asked = str(config.getoption("cluster_name"))
    return Run(config, name, name if asked == PYTEST_KINDS_OWN_NAME else asked, cluster.any_port())
