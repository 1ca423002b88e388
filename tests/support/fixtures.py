"""Fixtures: the run's shared cluster with a namespace for each test, throwaway clusters, and reports that explain failures."""

import dataclasses
import os
import re
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from filelock import ReadWriteLock
from pytest_kind import KindCluster

from kubetasks.errors import OwnershipError
from kubetasks.project import settings
from kubetasks.pytest_plugin import NAMESPACES
from kubetasks.testing.cluster import Cluster
from tests.support import diagnosis, leftovers, locks, order, pages, run, signals, snapshot, source
from tests.support.driver import HEARD, Tasks
from tests.support.marks import default_provider
from tests.support.run import Run
from tests.support.runner import Machine

ON_STRANGER = pytest.StashKey[int]()  # how many tests use the existing cluster

TypePage = Callable[..., Tasks]
CLEAN = "./inv clean --all"
PROVIDER = os.environ.get("INVOKE_CLUSTER_PROVIDER", settings.DEFAULTS["cluster"]["provider"])  # of the tests' clusters

OTHER_CLUSTERS = """\
apiVersion: v1
kind: Config
current-context: theirs
clusters: [{name: theirs, cluster: {server: "https://192.0.2.1:6443"}}]
contexts: [{name: theirs, context: {cluster: theirs, user: theirs}}]
users: [{name: theirs, user: {}}]
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--exhaustive", action="store_true", help="run the tests marked `exhaustive` too")
    parser.addoption("--update-pages", action="store_true", help="write what a page should show, where it does not match")


def pytest_configure(config: pytest.Config) -> None:
    for name in [name for name in os.environ if name.startswith("INVOKE_") and name not in HEARD]:
        del os.environ[name]
    if PROVIDER not in settings.CREATING_PROVIDERS:
        raise pytest.UsageError("The tests create clusters: INVOKE_CLUSTER_PROVIDER must be one that does, or unset.")
    signals.handle(signals.end)
    config.option.kubetasks_keep = config.getoption("keep_cluster")  # an option of pytest-kind, which creates the cluster


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """End the run, if a test started it, after the plugin has removed what its ledger lists; no signal interrupts that."""
    config = session.config
    begun = run.of(config).folder.exists() and not hasattr(config, "workerinput")  # now: the plugin removes the folder
    try:
        return (yield)
    finally:
        if begun:
            signals.handle(signal.SIG_IGN)
            with locks.engine().read_lock():
                run.of(config).end()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    run.of(node.config).begin()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:  # noqa: ARG001
    report = yield
    if report.failed and hasattr(report.longrepr, "addsection"):
        report.longrepr.addsection("to run it alone", diagnosis.reproduce(item.nodeid))
        used = [value for value in getattr(item, "funcargs", {}).values() if isinstance(value, Tasks)]
        for tasks in used or [run.of(item.config).tasks]:
            for title, text in diagnosis.look(tasks):
                report.longrepr.addsection(f"{tasks.cluster} {tasks.namespace}: {title}", text)
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Set the duration of a subtest to 0: it is part of the duration of its test."""
    if isinstance(report, pytest.SubtestReport):
        report.duration = 0.0


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Deselect tests for other providers (without a mark: for the default one) and, without --exhaustive, exhaustive tests."""
    chosen: dict[bool, list[pytest.Function]] = {True: [], False: []}
    exhaustive = config.getoption("exhaustive")
    for item in items:
        names = (item.get_closest_marker("providers") or default_provider).args
        chosen[PROVIDER in names and (exhaustive or not item.get_closest_marker("exhaustive"))].append(item)
    items[:] = chosen[True]
    order.arrange(config, items)
    config.stash[ON_STRANGER] = sum("stranger" in item.fixturenames for item in items)
    config.hook.pytest_deselected(items=chosen[False])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> order.Scheduling:
    return order.Scheduling(config, log)


@pytest.fixture(scope="session")
def this_run(pytestconfig: pytest.Config) -> Run:
    """The run, started."""
    mine = run.of(pytestconfig)
    mine.begin()
    os.environ["KUBECACHEDIR"] = str(mine.folder / "kubectl")  # the tests must not fill the user's cache
    return mine


@pytest.fixture(scope="session")
def k8s_cluster(this_run: Run, kind_cluster: KindCluster) -> Cluster:  # noqa: ARG001
    """The cluster of `kind_cluster`, for the package's fixtures."""
    return this_run.tasks.as_cluster()


@pytest.fixture(scope="session")
def k8s_namespace_labels() -> dict[str, str]:
    return dict.fromkeys(("pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/warn"), "restricted")


@pytest.fixture(autouse=True)
def engine_lock(request: pytest.FixtureRequest, this_run: Run) -> Iterator[None]:
    """Share the engine with other tests, or lock it exclusively if the test uses `alone`.

    A test that runs the suite holds no lock: the run that it starts would wait for it. A test with its own cluster takes a
    place first: a test with a place may wait for the engine, so none may hold the engine and wait for a place.
    """
    place = this_run.place() if "throwaway" in request.fixturenames else nullcontext()
    held = locks.engine().write_lock() if "alone" in request.fixturenames else locks.engine().read_lock()
    with place, nullcontext() if request.node.get_closest_marker("runs_the_suite") else held:
        yield


@pytest.fixture
def mapped_port() -> None:
    """The shared cluster's mapped port, which its first service gets: no other test exposes a service there at the same time."""


@pytest.fixture
def alone(this_run: Run) -> None:  # noqa: ARG001
    """Run no other test at the same time, and start without an image of the application."""
    leftovers.remove_images()


@pytest.fixture
def port_lock(request: pytest.FixtureRequest, this_run: Run, k8s_cluster: Cluster) -> Iterator[None]:  # noqa: ARG001
    """Share the mapped port with other tests, or lock it exclusively if the test uses `mapped_port`."""
    port = ReadWriteLock(this_run.folder / "mapped-port")
    with port.write_lock() if "mapped_port" in request.fixturenames else port.read_lock():
        yield


@pytest.fixture
def app(this_run: Run, port_lock: None, k8s_namespace: str) -> Tasks:  # noqa: ARG001
    """The tasks in a fresh namespace of the shared cluster; the namespace admits only restricted pods."""
    return dataclasses.replace(this_run.tasks, namespace=k8s_namespace)


@pytest.fixture
def clusterless(request: pytest.FixtureRequest, this_run: Run) -> Iterator[Tasks]:
    """The tasks on a cluster that does not exist; this run or the next removes whatever a test creates under its name."""
    tasks = Tasks(this_run.unique(), run.any_port())
    cluster = tasks.as_cluster(this_run.ledger)
    cluster.note()
    request.node.stash.setdefault(NAMESPACES, []).append((cluster, tasks.namespace))
    yield tasks
    with suppress(OwnershipError):  # a test created it without the owner's label
        cluster.delete()
    leftovers.remove(tasks.cluster)


@pytest.fixture
def throwaway(clusterless: Tasks) -> Tasks:
    """The tasks on a cluster that does not exist yet, for a test that creates it."""
    return clusterless


@pytest.fixture
def type_page(tmp_path: Path, throwaway: Tasks, pytestconfig: pytest.Config) -> TypePage:
    """A function that types a page's commands in a fresh clone, on the throwaway cluster; the output must match the page.

    The clone's application has another name, because CLEAN, which a page must contain, removes its images. Before CLEAN the
    function calls `before_clean` with the clone's tasks, and it returns these tasks.
    """
    paths = [path for path in os.environ["PATH"].split(os.pathsep) if Path(path) != Path(sys.executable).parent]
    environment = os.environ | throwaway.environment | {"PATH": os.pathsep.join(paths)}
    environment.pop("INVOKE_CLUSTER_PROVIDER", None)  # the page sets it
    cache = throwaway.settings.cache

    def type_it(page: Path, before_clean: Callable[[Tasks], None] = lambda _: None, by: Machine | None = None) -> Tasks:
        assert f"$ {CLEAN}\n" in page.read_text()
        tasks = throwaway.renamed(by.home / "project" if by else tmp_path)
        stand_ins = {
            tasks.app: source.NAME,
            throwaway.cluster: source.NAME,
            f":{throwaway.port}/": ":8080/",
            re.escape(str(cache)): f"/home/you/.cache/{cache.name}",
        }
        if PROVIDER == "minikube":  # its node has the name of the cluster
            node = rf"(?<=[ -]){throwaway.cluster}$|^{throwaway.cluster}(?= +Ready)"
            stand_ins = {node: f"{source.NAME}-control-plane"} | stand_ins

        def before(command: str) -> str:
            if command == CLEAN:
                before_clean(tasks)
            return command.replace(source.NAME, tasks.app)

        if by:
            by.owns(tasks.folder)
        env = by.environment(throwaway.environment) if by else environment
        terminal = partial(pages.shell, tasks.folder, words=by.words(tasks.folder) if by else ())
        # a page tells users of minikube to set this variable in each other terminal
        with terminal(env) as bash, terminal({**env, "INVOKE_CLUSTER_PROVIDER": PROVIDER}) as second:
            pages.run(page, PROVIDER, (bash, second), stand_ins, before, bool(pytestconfig.getoption("update_pages")))
        return tasks

    return type_it


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a kubeconfig for another cluster; the cache stays where it is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(settings.cache_folder(os.environ).parent))
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(OTHER_CLUSTERS)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def snapshot_of(clusterless: Tasks, home: Path) -> Callable[[], snapshot.Snapshot]:
    """A function that takes a snapshot of what engine and cache have of the throwaway cluster, and of the home folder."""
    return partial(snapshot.of_cluster, clusterless, home)


@pytest.fixture
def snapshot_of_everything(alone: None, clusterless: Tasks, home: Path) -> Callable[[], snapshot.Snapshot]:  # noqa: ARG001
    """A function that takes a snapshot of the whole engine, the cache and the home folder."""
    return partial(snapshot.of_everything, clusterless, home)
