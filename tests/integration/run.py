"""One run of the suite: its cluster, its images, and that neither stays.

With pytest-xdist the controller owns the run; its workers are given the cluster's name and port and make none.
"""

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import docker
import pytest
from filelock import FileLock, ReadWriteLock, Timeout
from pytest_kind import KindCluster

from kubetasks import artifacts, engine, equivalents, image, settings
from kubetasks.application import APPLICATION
from kubetasks.errors import TaskError
from kubetasks.labels import CLUSTER_LABEL, OWNER, OWNER_LABEL
from kubetasks.providers.kind.config import free_port
from tests.integration.driver import Tasks
from tests.integration.snapshot import LOCKS

PYTEST_KINDS_OWN_NAME = "pytest-kind"  # the default of its option: nobody asked for a name
ASIDE = "simple-server-aside"
ASIDE_TOO = f"{ASIDE}-too"
STAGES = "simple-server-stages"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def lock(name: str) -> ReadWriteLock:
    """A lock that every run of the suite on this machine shares: they share the engine."""
    cache = settings.cache_folder(os.environ)
    cache.mkdir(parents=True, exist_ok=True)
    return ReadWriteLock(cache / f"{LOCKS}{name}")


@contextmanager
def images_aside(name: str) -> Iterator[None]:
    """The application's images under another name, while others of the same name are built and removed."""
    park(name)
    try:
        yield
    finally:
        unpark(name)


def park(name: str) -> None:
    connection = engine.connect()
    for reference in connection.image_tags(APPLICATION.name):
        connection.tag(reference, reference.replace(APPLICATION.name, name, 1))
    image.remove(connection, APPLICATION)


def keep_stages() -> None:
    """Name the earlier stages of the build, which a clean-up takes away: the tests need not install the packages each time."""
    client = docker.from_env()
    for number, stage in enumerate(client.images.list(filters={"label": f"{OWNER_LABEL}={OWNER}", "dangling": True})):
        stage.tag(STAGES, str(number))
    client.close()


def unpark(name: str) -> None:
    connection = engine.connect()
    image.remove(connection, APPLICATION)
    for reference in connection.image_tags(name):
        connection.tag(reference, reference.replace(name, APPLICATION.name, 1))
        connection.remove_image(reference)


def make(tasks: Tasks, pytestconfig: pytest.Config) -> KindCluster:
    """pytest-kind's cluster with the configuration of `inv start`, and with pytest-kind's options if given."""
    provider = tasks.provider()
    config = provider.config()
    option = pytestconfig.getoption
    # pytest-kind makes a folder for its downloads where it stands; here it has none to make
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        cluster = KindCluster(
            config.name,
            kubeconfig=Path(option("kubeconfig") or config.kubeconfig),
            image=option("kind_image") or config.image,
            kind_path=Path(option("kind_bin") or artifacts.kind(tasks.settings).reference),
            kubectl_path=Path(option("kind_kubectl_bin") or artifacts.kubectl().reference),
        )
    with pytest.MonkeyPatch.context() as patch:
        for name, value in equivalents.create_environment(config).items():
            patch.setenv(name, value)
        if provider.condition() == "missing":
            provider.prepare(config)
        cluster.create(config_file=provider.config_file)
        provider.finish()
    return cluster


@dataclass
class Run:
    """`cluster_name` is the cluster that the tests share; `name` is of this run alone and begins all other names that it gives.

    `broken` says, to a worker, why the controller could not make the cluster; `timings` are seconds by stage.
    """

    config: pytest.Config
    name: str
    cluster_name: str
    port: int
    owner: bool
    broken: str = ""
    kubectl_cache: str = field(default_factory=lambda: tempfile.mkdtemp(prefix="simple-server-kubectl-"))
    timings: dict[str, float] = field(default_factory=dict)
    _found: bool = False
    _cluster: KindCluster | None = None
    _sessions: ReadWriteLock | None = None

    @property
    def tasks(self) -> Tasks:
        return Tasks(self.cluster_name, self.port)

    def begin(self) -> None:
        """Before the first test. The person's own images are put aside, once for all runs at the same time.

        Raises UsageError where the cluster that was asked for is there and cannot be used.
        """
        if self._sessions or not self.owner:
            return
        provider = self.tasks.provider()
        self._found = provider.condition() != "missing"
        if self._found:
            try:
                provider.cluster()
            except TaskError as error:
                raise pytest.UsageError(f"--cluster-name {self.cluster_name}: {error.sentence}") from None
        with gate():
            self._sessions = lock("sessions")
            with contextlib.suppress(Timeout), self._sessions.write_lock(blocking=False):
                park(ASIDE)
            self._sessions.acquire_read()
        with lock("engine").read_lock(), self._timed("image"):
            self.tasks("build")
            keep_stages()

    def cluster(self) -> KindCluster:
        """The run's cluster, made when it is first asked for."""
        if self.broken:
            pytest.fail(self.broken, pytrace=False)
        if self._cluster is None:
            with lock("engine").read_lock():  # not while another run compares all that the engine holds
                self._make()
        assert self._cluster
        return self._cluster

    def _make(self) -> None:
        with self._timed("cluster"):
            self._cluster = make(self.tasks, self.config)
        if self.owner and not self._found:
            with self._timed("load balancer"):
                self.tasks("start")
            with self._timed("first deployment"):
                self.tasks("deploy")
                self.tasks("undeploy")

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.timings[stage] = time.monotonic() - started

    def throwaway(self) -> Tasks:
        """A name that nothing has yet, and a port that no cluster of the person's is likely to want."""
        return Tasks(f"{self.name}-{secrets.token_hex(2)}", any_port())

    def end(self) -> str:
        """Nothing of this run is left but a cluster that is to be kept; returns how to reach that."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        shutil.rmtree(self.kubectl_cache, ignore_errors=True)
        if not self.owner or self._sessions is None:
            return ""
        keep = self._found or self.config.getoption("keep_cluster")
        connection = engine.connect()
        with lock("engine").read_lock():
            for cluster in our_clusters():
                if cluster.startswith(f"{self.name}-") or (cluster == self.cluster_name and not keep):
                    Tasks(cluster, self.port).provider().delete()
            remove_others(f"{self.name}-")  # a worker that was killed left them
        with gate():
            with contextlib.suppress(RuntimeError):  # interrupted before it was held
                self._sessions.release()
            with contextlib.suppress(Timeout), self._sessions.write_lock(blocking=False):  # the last run puts them back
                for name in (ASIDE_TOO, STAGES):
                    for reference in connection.image_tags(name):
                        connection.remove_image(reference)
                unpark(ASIDE)
        if not keep or self._cluster is None:
            return ""
        return (
            f"Cluster {self.cluster_name} is kept:\n"
            f"  export INVOKE_CLUSTER_NAME={self.cluster_name} KUBECONFIG={self.tasks.kubeconfig}\n"
            "  kubectl get pods --all-namespaces; ./inv status\n  ./inv delete removes it; --cluster-name uses it again"
        )


def gate() -> FileLock:
    """Of two runs that begin or end, one goes first: the person's images are put aside and back once."""
    return FileLock(settings.cache_folder(os.environ) / f"{LOCKS}gate")


def remove_others(prefix: str) -> None:
    """Containers and images that begin with `prefix`."""
    client = docker.from_env()
    for container in client.containers.list(all=True, filters={"label": f"{OWNER_LABEL}={OWNER}"}):
        if str(container.name).startswith(prefix):
            container.remove(force=True, v=True)
    for image_ in client.images.list(filters={"label": f"{OWNER_LABEL}={OWNER}"}):
        for tag in image_.tags:
            if tag.startswith(prefix):
                client.images.remove(tag, force=True)
    client.close()


def our_clusters() -> list[str]:
    """The names of the clusters that have a network with our label."""
    return sorted(labels.get(CLUSTER_LABEL, "") for labels in engine.connect().our_networks())


def any_port() -> int:
    """A free port of those that no cluster of the person's is likely to want."""
    return free_port(20000 + secrets.randbelow(9000))


def of(config: pytest.Config) -> Run:
    """The run that this process belongs to."""
    given = getattr(config, "workerinput", None)
    if given:
        return Run(config, given["run"], given["cluster"], given["port"], owner=False, broken=given["broken"])
    name = f"test-{secrets.token_hex(3)}"
    asked = str(config.getoption("cluster_name"))
    return Run(config, name, name if asked == PYTEST_KINDS_OWN_NAME else asked, any_port(), owner=True)


def take_signals() -> None:
    """The first signal to end ends the run; from then on nothing may disturb what takes things back.

    It is passed on, because nobody else does so reliably: a terminal tells workers and programs too, tox and job runners do not.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for one in SIGNALS:
            signal.signal(one, signal.SIG_IGN)
        for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGTERM)
        signal.default_int_handler(number, frame)

    for number in SIGNALS:
        signal.signal(number, stop)
