"""Fixtures: the run's cluster with a namespace for each test, throwaway clusters, and a report that says why a test failed."""

import os
import secrets
import traceback
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pytest_kind import KindCluster

from tests.integration import diagnosis, run, snapshot
from tests.integration.driver import Tasks
from tests.integration.run import Run

RUN = pytest.StashKey[Run]()
FAILED = pytest.StashKey[bool]()
HEARD = ("INVOKE_CLUSTER_KUBERNETES", "INVOKE_SETUP_IMAGES")  # of the person's settings; the others are the tests' to make

OTHER_CLUSTERS = """\
apiVersion: v1
kind: Config
current-context: theirs
clusters: [{name: theirs, cluster: {server: "https://192.0.2.1:6443"}}]
contexts: [{name: theirs, context: {cluster: theirs, user: theirs}}]
users: [{name: theirs, user: {}}]
"""

NAMESPACE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: {name}
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
"""


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith("INVOKE_") and name not in HEARD]:
        del os.environ[name]
    run.take_signals()
    config.stash[RUN] = run.of(config)
    os.environ["KUBECACHEDIR"] = config.stash[RUN].kubectl_cache  # kubectl's own cache is not the tests' to fill


def pytest_unconfigure(config: pytest.Config) -> None:
    if RUN in config.stash:
        said = config.stash[RUN].end()
        if said:
            print(said)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    mine: Run = node.config.stash[RUN]
    mine.begin()
    if not mine.broken:
        try:
            mine.cluster()
        except Exception:  # noqa: BLE001  each test says it, so that it is in the report
            mine.broken = f"The run's cluster could not be made.\n{traceback.format_exc()}\n{diagnosis.text(mine.tasks)}"
    node.workerinput |= {"run": mine.name, "cluster": mine.cluster_name, "port": mine.port, "broken": mine.broken}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    timings = config.stash[RUN].timings
    if timings:
        terminalreporter.write_line(
            "The run's cluster: " + ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in timings.items())
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:  # noqa: ARG001
    report = yield
    if report.failed:
        item.stash[FAILED] = True
        if hasattr(report.longrepr, "addsection"):
            report.longrepr.addsection("to run it alone", diagnosis.reproduce(item.nodeid))
            used = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Tasks)]
            for tasks in used or [item.config.stash[RUN].tasks]:
                for title, text in diagnosis.look(tasks):
                    report.longrepr.addsection(f"{tasks.cluster} {tasks.namespace}: {title}", text)
    return report


@pytest.fixture(scope="session")
def this_run(pytestconfig: pytest.Config) -> Run:
    """The run, begun."""
    mine = pytestconfig.stash[RUN]
    mine.begin()
    return mine


@pytest.fixture(scope="session")
def kind_cluster(this_run: Run) -> KindCluster:
    """pytest-kind's fixture: the cluster that the run's tests share, with a load balancer and the application's image."""
    return this_run.cluster()


@pytest.fixture(autouse=True)
def engine_lock(request: pytest.FixtureRequest, this_run: Run) -> Iterator[None]:  # noqa: ARG001
    """A test that compares all that the engine holds, takes images away or needs the mapped port has it to itself.

    One that runs the suite takes no lock: that run takes its own, and would wait for us.
    """
    if request.node.get_closest_marker("runs_the_suite"):
        yield
        return
    engine = run.lock("engine")
    with engine.write_lock() if {"alone", "mapped_port"} & set(request.fixturenames) else engine.read_lock():
        yield


@pytest.fixture
def mapped_port() -> None:
    """The run's cluster has one, and the first service takes it: engine_lock sees to it that this is the test's."""


@pytest.fixture
def alone(this_run: Run) -> Iterator[None]:  # noqa: ARG001
    """No other test at the same time, and no image of the application to begin with."""
    with run.images_aside(run.ASIDE_TOO):
        yield


@pytest.fixture
def app(request: pytest.FixtureRequest, this_run: Run, kind_cluster: KindCluster) -> Iterator[Tasks]:
    """The tasks in a fresh namespace of the run's cluster, which admits restricted pods alone."""
    name = f"test-{secrets.token_hex(4)}"
    tasks = Tasks(this_run.cluster_name, this_run.port, name)
    tasks.kubectl("create", "--filename=-", stdin=NAMESPACE.format(name=name))
    yield tasks
    if request.config.getoption("keep_cluster") and FAILED in request.node.stash:
        return
    # at once, not with the namespace some seconds later: the next test may want the mapped port
    kind_cluster.kubectl("delete", "service", "--all", f"--namespace={name}")
    kind_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def throwaway(this_run: Run) -> Iterator[Tasks]:
    """The tasks for a cluster that is not made yet; what the test makes under its name is gone afterwards."""
    tasks = this_run.throwaway()
    try:
        yield tasks
    finally:
        tasks.provider().delete()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a kubeconfig of other clusters; the cache stays where it is."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(OTHER_CLUSTERS)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    return tmp_path


@pytest.fixture
def snapshot_of(alone: None, throwaway: Tasks, home: Path) -> Callable[[], snapshot.Snapshot]:  # noqa: ARG001
    """Takes a snapshot of the engine, the cache and the home folder."""
    return partial(snapshot.take, throwaway, home)
