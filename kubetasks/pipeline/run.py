"""What an action works with: settings, report, engine, provider and cluster."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial, wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from invoke.context import Context as InvokeContext

from kubetasks import providers
from kubetasks.engine import access
from kubetasks.engine import client as engine_client
from kubetasks.engine.client import Engine
from kubetasks.errors import SetupError, TaskError
from kubetasks.kube import client
from kubetasks.kube.client import Kube
from kubetasks.project import settings
from kubetasks.project.application import APPLICATION, Application
from kubetasks.project.settings import Settings
from kubetasks.providers.base import Cluster, NodeEngine, Provider
from kubetasks.setup import artifacts
from kubetasks.terminal import equivalents, interruption, locking
from kubetasks.terminal.report import Report

PACKAGES = ("docker", "filelock", "kubernetes", "rich", "tenacity", "watchfiles", "yaml")  # imported only when they are needed

P = ParamSpec("P")
R = TypeVar("R")


class Context:
    """Each part is created when it is first used."""

    def __init__(self, settings: Settings, app: Application, report: Report, agree: Callable[[str], None]) -> None:
        self.settings = settings
        self.app = app
        self.report = report
        self._agree = agree
        self.superseded: Callable[[], bool] = lambda: False  # whether what is waited for is not wanted any more
        self._locked = False

    @cached_property
    def engine(self) -> Engine:
        """The engine that builds the application's image: a node's, if it has one. Raises EngineError."""
        if access.node_of_shell():
            return engine_client.connect_for_builds()
        return self.node_engine or self.machine

    @cached_property
    def node_engine(self) -> Engine | None:
        """The engine of a running node, if it has one, and docker-env has not chosen one for this shell. Raises EngineError."""
        provider = self.provider
        return provider.node_engine() if isinstance(provider, NodeEngine) and not access.node_of_shell() else None

    @cached_property
    def machine(self) -> Engine:
        """The engine whose containers are nodes. Raises EngineError."""
        return engine_client.connect()

    @cached_property
    def provider(self) -> Provider:
        return providers.select(self.settings, self.app, self.report, lambda: self.machine)

    @cached_property
    def cluster(self) -> Cluster:
        """The running cluster. Raises ClusterError."""
        return self.provider.cluster()

    @cached_property
    def kube(self) -> Kube:
        """The cluster's API."""
        there = self.cluster
        kubectl = artifacts.kubectl().reference
        made = client.connect(there.kubeconfig, there.context, there.advice, there.renewal, there.direct, kubectl)
        if self.provider.shared:
            self.report.say(f"Context {self.provider.name} ({made.server}), namespace {self.settings.namespace}")
        return made

    def connect(self) -> None:
        """Create engine and provider now. Raises EngineError."""
        _ = self.engine, self.provider

    def forget_engine(self) -> None:
        """Look again for the engine that builds, when it is needed next."""
        for name in ("engine", "node_engine"):
            self.__dict__.pop(name, None)

    @property
    def kubectl(self) -> tuple[str, ...]:
        """The flags of equivalent kubectl commands."""
        namespace = self.settings.namespace
        return (*self.provider.kubectl, *(("--namespace", namespace) if namespace != "default" else ()))

    def agree(self) -> None:
        """Let a person agree to the first change of a cluster that others use too. Raises SettingError, TaskError."""
        if self.provider.shared:
            self._agree(f"Change namespace {self.settings.namespace} of context {self.provider.name} ({self.kube.server})?")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Until the end of the block, no other task of this user changes the application in its namespace."""
        if self._locked or self.report.dry:
            yield
            return
        with locking.application(self.settings, self.app.name, self.provider.name, self.report):
            self._locked = True
            try:
                yield
            finally:
                self._locked = False


def one_at_a_time(action: Callable[Concatenate[Context, P], R]) -> Callable[Concatenate[Context, P], R]:
    """Let no other task of this user change the application meanwhile: each would wait for the other one's pods."""

    @wraps(action)
    def locked(context: Context, /, *args: P.args, **options: P.kwargs) -> R:
        with context.locked():
            return action(context, *args, **options)

    return locked


def begin(c: InvokeContext, *, json: bool = False, piped: bool = False) -> Context:
    """The context of one task; `json` and `piped` are those of its report. Raises SetupError, SettingError."""
    require_packages()
    interruption.reset()
    report = Report(echo=bool(c.config.run.echo), dry=bool(c.config.run.dry), json=json, piped=piped)
    context = Context(settings.read(c.config), APPLICATION, report, partial(require_agreement, c, report))
    if report.echo or report.dry:
        report.equivalent(_environment(context))
    return context


def require_agreement(c: InvokeContext, report: Report, question: str) -> None:
    """Ask, unless --yes or an earlier task of the run has the answer: invoke keeps the configuration for the run."""
    if c.config.run.get("yes"):
        return
    if not report.agrees(question):
        raise TaskError("Nothing was changed.")
    c.config.run.yes = True


def require_packages() -> None:
    """Raises SetupError if invoke runs without the other packages of requirements/tasks.txt."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"Python packages are missing: {', '.join(missing)}.",
            "./inv installs them; or: pip install -r requirements/tasks.txt",
        )


def _environment(context: Context) -> str:
    folders: list[str] = []
    for program in (context.provider.program, artifacts.kubectl().reference):
        folder = str(Path(program).parent)
        if os.sep in program and shutil.which(Path(program).name) != program and folder not in folders:
            folders.append(folder)
    return equivalents.environment(folders, context.provider.environment)
