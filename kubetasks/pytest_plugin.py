"""Fixtures that deploy an application to a throwaway Kubernetes cluster, for pytest with or without pytest-xdist.

Nothing is changed until a test requests a cluster. When the run ends, everything it created is removed; the next run removes
what a killed run left. No signal handler is installed, and no environment variable is set.
"""

import contextlib
import inspect
import runpy
import secrets
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from kubetasks.testing import shared_folder

if TYPE_CHECKING:
    from kubetasks.project.application import Project
    from kubetasks.testing.app import App
    from kubetasks.testing.cluster import Cluster
    from kubetasks.testing.session import Session
    from kubetasks.testing.traffic import Traffic

# the package is imported when a fixture needs it, so that a run without these fixtures does not wait for it
R = TypeVar("R")
TOKEN = pytest.StashKey[str]()
SESSION = pytest.StashKey["Session"]()
NAMESPACES = pytest.StashKey[list[tuple["Cluster", str]]]()  # the clusters that a test uses, each with the namespace
KEEP = pytest.StashKey[bool]()  # whether what the test used is to be kept, because it failed
DIAGNOSIS = ": diagnosis"  # ends the name of a report section or property that holds one
MARKED = {"nodes", "kind"}
MARKER = 'k8s(nodes=1, kind=""): the nodes of the cluster of k8s_throwaway, and the configuration file for kind'
OPTIONS = {  # each option's setting and help
    "provider": ("cluster.provider", "what creates the cluster: kind (the default) or minikube"),
    "kubernetes": ("cluster.kubernetes", "the minor release of Kubernetes, such as 1.36"),
    "context": ("cluster.context", "use the cluster of that context of your kubeconfig instead of creating one"),
    "registry": ("app.registry", "where the nodes of that cluster pull the image from, such as registry.example.com/team"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kubetasks", "Kubernetes clusters for tests (kubetasks)")
    for name, (_, text) in OPTIONS.items():
        group.addoption(f"--kubetasks-{name}", metavar=name.upper(), default="", help=text)
    scope = "how long a namespace and the application in it are there: for each function (the default), module or session"
    group.addoption("--kubetasks-scope", choices=("function", "module", "session"), default="function", help=scope)
    group.addoption("--kubetasks-keep", action="store_true", help="keep the cluster, and the namespaces of failed tests")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    given = getattr(config, "workerinput", {}).get("kubetasks")
    config.stash[TOKEN] = given or f"t{secrets.token_hex(3)}"


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Pass the run's token from the controller to a worker of pytest-xdist."""
    node.workerinput["kubetasks"] = node.config.stash[TOKEN]


def _session(config: pytest.Config) -> "Session":
    """Return the run that this process belongs to."""
    if SESSION not in config.stash:
        from kubetasks.testing.session import Session

        given = {setting: config.getoption(f"kubetasks_{name}") for name, (setting, _) in OPTIONS.items()}
        if given["cluster.context"]:
            given["cluster.provider"] = "existing"
        chosen = {key: value for key, value in given.items() if value}
        config.stash[SESSION] = Session(config.stash[TOKEN], chosen, keep=bool(config.getoption("kubetasks_keep")))
    return config.stash[SESSION]


def _owns_cleanup(config: pytest.Config) -> bool:
    """Return whether this process, not a worker, is the last one of a run that has requested a cluster."""
    return TOKEN in config.stash and not hasattr(config, "workerinput") and shared_folder(config.stash[TOKEN]).exists()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Lock the ledger before the workers release it, then remove what the run created. Fail a run that leaves something."""
    config = session.config
    if not _owns_cleanup(config):
        return (yield)
    _session(config).ledger.hold()
    try:
        return (yield)
    finally:
        if reporter := config.pluginmanager.get_plugin("terminalreporter"):
            reporter.flush()  # or the messages below could end up in the middle of its lines
        problems = _session(config).end()
        for problem in problems:
            sys.stderr.write(f"{problem}\n")
        if problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose marker has unknown arguments or no effect."""
    for marker in item.iter_markers("k8s"):
        wrong = [*map(repr, marker.args), *sorted(marker.kwargs.keys() - MARKED)]
        if wrong:
            pytest.fail(f"@pytest.mark.k8s takes nodes=NUMBER and kind=FILE, not {', '.join(wrong)}.", pytrace=False)
        asked = "k8s_throwaway" in getattr(item, "fixturenames", ())
        asks = (
            "request" in inspect.signature(getattr(item, "function", lambda: None)).parameters
        )  # it may request the fixture itself
        if marker.kwargs and marker in item.own_markers and not (asked or asks):
            pytest.fail("@pytest.mark.k8s describes the cluster of k8s_throwaway, which this test does not use.", pytrace=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Add a diagnosis of each cluster that a failed test uses to its report, and cut this package's frames off the traceback."""
    message = ""
    if call.excinfo and _is_ours(call.excinfo.value):
        message = str(call.excinfo.value)
        option = item.config.getoption  # without its terminal plugin, pytest lacks these
        if not (option("fulltrace", False) or option("usepdb", False) or option("tbstyle", "auto") != "auto"):
            _shorten(call.excinfo)
    report = yield
    for node in item.listchain() if report.failed else ():
        node.stash[KEEP] = bool(item.config.getoption("kubetasks_keep"))
        if hasattr(report.longrepr, "addsection"):
            for cluster, namespace in node.stash.get(NAMESPACES, []):
                text = _diagnosis(cluster, namespace)
                if text.partition("\n")[0] not in message:  # the error may contain it already
                    report.longrepr.addsection(f"{cluster.name} {namespace}{DIAGNOSIS}", text)
                item.user_properties.append((f"{item.name}{DIAGNOSIS}", text))  # in the JUnit file too
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """If what failed tests used is removed, say how to keep it."""
    ended = [report for reports in terminalreporter.stats.values() for report in reports]  # the teardown's report has it
    diagnosed = any(str(name).endswith(DIAGNOSIS) for one in ended for name, _ in getattr(one, "user_properties", ()))
    if diagnosed and not config.getoption("kubetasks_keep"):
        terminalreporter.write_line("What failed tests used is deleted with this run; --kubetasks-keep keeps it.")


def _is_ours(error: BaseException) -> bool:
    errors = sys.modules.get("kubetasks.errors")  # not imported: the error cannot be one of them
    return errors is not None and isinstance(error, errors.TaskError)


def _shorten(raised: "pytest.ExceptionInfo[BaseException]") -> None:
    """End the traceback where the test called this package, and drop the error's cause."""
    at: Any = raised.tb
    last, package = at, Path(__file__).parent
    while at and package not in Path(at.tb_frame.f_code.co_filename).parents:
        last = last if at.tb_frame.f_code.co_filename == contextlib.__file__ else at
        at = at.tb_next
    last.tb_next = raised.value.__cause__ = None


def _diagnosis(cluster: "Cluster", namespace: str) -> str:
    try:
        return cluster.diagnosis(namespace)
    except Exception as error:  # noqa: BLE001  the report must come, whatever the cluster answers
        return f"The diagnosis failed: {error}"


def _call_or_fail(config: pytest.Config, make: Callable[[], R], *, ends: bool = True) -> R:
    """Return what `make` returns, or fail. SettingError and SetupError end a run without workers, unless `ends` is False."""
    from kubetasks.errors import SettingError, SetupError, TaskError
    from kubetasks.testing.session import BrokenError

    usage = False
    try:
        return make()
    except BrokenError as error:
        words = str(error)
    except TaskError as error:
        words, usage = str(error.message), isinstance(error, SettingError | SetupError)
    if usage and ends and not hasattr(config, "workerinput"):
        pytest.exit(words, returncode=pytest.ExitCode.USAGE_ERROR)
    pytest.fail(words, pytrace=False)


@pytest.fixture(scope="session")
def k8s_application(pytestconfig: pytest.Config) -> "Project":
    """The project whose application is tested, from tasks.py or from the table, in pytest's root folder or above it.

    Override it to test another.
    """
    from kubetasks.project import table
    from kubetasks.project.application import Project

    folder = _call_or_fail(pytestconfig, partial(table.nearest, pytestconfig.rootpath))
    if folder is None:
        what = "tasks.py, [tool.kubetasks] in pyproject.toml, or a fixture k8s_application that returns a kubetasks.Project"
        pytest.fail(f"There is no project in {pytestconfig.rootpath} or above it: write {what}.", pytrace=False)
    if table.has_tasks(folder):
        return _of_tasks(pytestconfig, folder / table.TASKS)
    return _call_or_fail(pytestconfig, partial(Project.read, folder))


def _require_project(project: object) -> None:
    from kubetasks.project.application import Project

    if not isinstance(project, Project):
        pytest.fail(f"The fixture k8s_application must return a kubetasks.Project, not {project!r}.", pytrace=False)


def _of_tasks(config: pytest.Config, file: Path) -> "Project":
    """Return the project of a tasks.py."""
    from invoke.collection import Collection

    from kubetasks.project.settings import OURS

    sys.path.insert(0, str(file.parent))
    try:
        values = _call_or_fail(config, lambda: runpy.run_path(str(file)))
    finally:
        sys.path.remove(str(file.parent))
    for value in values.values():
        if isinstance(value, Collection) and OURS in value.configuration():
            project: Project = value.configuration()[OURS]["project"]
            return project
    pytest.fail(f"{file} has no tasks of kubetasks: ns = kubetasks.namespace(...)", pytrace=False)


@pytest.fixture(scope="session")
def k8s_cluster(request: pytest.FixtureRequest, k8s_application: "Project") -> "Cluster":
    """The cluster of this run, shared by all tests and workers of pytest-xdist: `.name .kubeconfig .context .kubectl()`."""
    _require_project(k8s_application)
    with_image = any("k8s_app" in getattr(item, "fixturenames", ()) for item in request.session.items)
    make = partial(_session(request.config).cluster, k8s_application, with_image=with_image)
    with _shown(request.config):
        return _call_or_fail(request.config, make)


@contextlib.contextmanager
def _shown(config: pytest.Config) -> Iterator[None]:
    """Capture no output in the block, except in a worker, to show the progress of a cluster, which may take a minute."""
    capture, reporter = map(config.pluginmanager.get_plugin, ("capturemanager", "terminalreporter"))
    if not capture or not reporter:
        yield
        return
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        yield


@pytest.fixture(scope="session")
def k8s_namespace_labels() -> dict[str, str]:
    """The labels of each test's namespace. Override it, for example to set a pod security level."""
    return {}


def _scope(fixture_name: str, config: pytest.Config) -> Any:  # noqa: ARG001  pytest gives both
    return config.getoption("kubetasks_scope")


@pytest.fixture(scope=_scope)
def k8s_namespace(request: pytest.FixtureRequest, k8s_cluster: "Cluster", k8s_namespace_labels: dict[str, str]) -> Iterator[str]:
    """The name of a fresh namespace in the cluster, deleted after the test, or after the scope given by --kubetasks-scope."""
    name = f"test-{secrets.token_hex(4)}"
    if not isinstance(k8s_namespace_labels, Mapping):
        pytest.fail(f"The fixture k8s_namespace_labels must return a dict, not {k8s_namespace_labels!r}.", pytrace=False)
    _call_or_fail(request.config, lambda: k8s_cluster.create_namespace(name, k8s_namespace_labels))
    request.node.stash.setdefault(NAMESPACES, []).append((k8s_cluster, name))
    yield name
    if not request.node.stash.get(KEEP, False):
        _call_or_fail(request.config, partial(k8s_cluster.delete_namespace, name, wait=False), ends=False)


@pytest.fixture(scope=_scope)
def k8s_app(request: pytest.FixtureRequest, k8s_cluster: "Cluster", k8s_namespace: str) -> Iterator["App"]:
    """The application in k8s_namespace, deployed, exposed and answering: `.url .urls .pods() .scale() .rollout() .kubectl()`."""
    from kubetasks.testing.app import App

    app = App(k8s_cluster, k8s_namespace)
    _call_or_fail(request.config, app.deploy)
    yield app
    app.close()


@pytest.fixture
def k8s_traffic(k8s_app: "App") -> "Traffic":
    """Requests to the application: `k8s_traffic(60)`, or `with k8s_traffic.load() as load:`; `.pods`, `.answered`, `.failed`."""
    from kubetasks.testing.traffic import Traffic

    return Traffic(k8s_app.cluster.project.application, k8s_app.sending)


@pytest.fixture
def k8s_throwaway(request: pytest.FixtureRequest, k8s_application: "Project") -> Iterator["Cluster"]:
    """A running cluster for one test alone; `App(k8s_throwaway, "default").deploy()` deploys the application to it."""
    _require_project(k8s_application)
    marker = request.node.get_closest_marker("k8s")
    given = marker.kwargs if marker else {}
    make = partial(_session(request.config).throwaway, k8s_application, given.get("nodes", 1), given.get("kind", ""))
    with _shown(request.config):
        cluster = _call_or_fail(request.config, make, ends=False)
    request.node.stash.setdefault(NAMESPACES, []).append((cluster, "default"))
    yield cluster
    if not request.node.stash.get(KEEP, False):
        _call_or_fail(request.config, cluster.delete, ends=False)
