"""A run: what the tasks of one invocation share."""

import importlib.util
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from invoke.context import Context

from kubetasks import providers
from kubetasks.engine import access, image
from kubetasks.engine import client as engine_client
from kubetasks.engine.client import Engine
from kubetasks.engine.image import Image
from kubetasks.errors import EngineError, SettingError, SetupError, TaskError
from kubetasks.kube import client, manifests, readiness
from kubetasks.kube.client import Kube, Object
from kubetasks.kube.manifests import Manifest
from kubetasks.pipeline.seen import Seen
from kubetasks.project import settings
from kubetasks.project.application import Application, Project
from kubetasks.project.settings import Settings
from kubetasks.project.words import INV
from kubetasks.providers.base import Cluster, Provider
from kubetasks.setup import requirements
from kubetasks.terminal import interruption, locking, wait
from kubetasks.terminal.door import Door
from kubetasks.terminal.report import Report
from kubetasks.terminal.wait import State

LOOK_SECONDS = 2.0
PACKAGES = ("docker", "filelock", "kubernetes", "rich", "tenacity", "watchfiles", "yaml")  # imported only when needed


class Run:
    """The settings, report and connections of one invocation, each connection made on first use; `forget` drops what has changed.

    `echo` and `dry` are invoke's own --echo and --dry; `agreed`: the user has already agreed to change an existing cluster.
    """

    def __init__(
        self, settings: Settings, report: Report, *, echo: bool = False, dry: bool = False, agreed: bool = False
    ) -> None:
        self.settings = settings
        self.report = report
        self.do = Door(report, echo=echo, dry=dry)
        self._agreed = agreed
        self._answered = set[str]()  # what the user has agreed to change, "" for the namespace
        self.superseded: Callable[[], bool] = lambda: False  # whether to stop waiting because something newer is wanted
        self._locked = False
        self._looked: Seen | None = None
        self._since = 0.0  # when `_looked` was created, by time.monotonic()

    @property
    def project(self) -> Project:
        return self.settings.project

    @property
    def app(self) -> Application:
        return self.settings.app

    @cached_property
    def engine(self) -> Engine:
        """The engine that builds the application's images: the host's or, after docker-env, a node's. Raises EngineError."""
        if node := access.node_of_shell():
            try:
                return engine_client.connect(variables=os.environ, owner=self.app.owner)
            except EngineError as error:
                absent = f"This shell's docker uses the engine of node {node}, which does not answer."
                raise EngineError(absent, f'{INV} start; or: eval "$({INV} docker-env --unset)"') from error
        return self.host_engine

    @cached_property
    def host_engine(self) -> Engine:
        """The engine whose containers are the nodes. Raises EngineError."""
        return engine_client.connect(owner=self.app.owner)

    @cached_property
    def images(self) -> tuple[Image, ...]:
        """The current source's images, built or not, the application's first. Raises ImageError, SettingError, EngineError."""
        machine = self.do.known(lambda: self.host_engine, None)
        base = requirements.BASE_IMAGE.find(machine, self.settings).reference
        return tuple(image.current(source, base) for source in self.app.sources)

    @property
    def image(self) -> Image:
        """The application's own image. Raises what `images` raises."""
        return self.images[0]

    @cached_property
    def manifests(self) -> list[Manifest]:
        """The application's manifests. Raises SettingError."""
        return manifests.of_application(self.app, self.settings.namespace)

    @property
    def others(self) -> list[Object]:
        """The objects to wait for besides the application's own deployment; [] if a manifest is broken."""
        with suppress(SettingError):
            items = [manifest.item for manifest in self.manifests if manifest.name != self.app.deployment]
            return [item for item in items if readiness.awaited(item)]
        return []

    @cached_property
    def provider(self) -> Provider:
        return providers.select(self.settings, self.do, lambda: self.host_engine)

    @cached_property
    def cluster(self) -> Cluster:
        """The running cluster. Raises ClusterError."""
        return self.provider.cluster()

    @cached_property
    def kube(self) -> Kube:
        """The cluster's API."""
        cluster = self.cluster
        kubectl = requirements.kubectl().reference
        facts = cluster.kubeconfig, cluster.context, cluster.unreachable_hint, cluster.credentials_hint, not self.provider.shared
        kube = client.connect(
            self.app.owner, *facts, kubectl, min(max(client.PATIENCE, self.settings.timeout / 4), client.MOST_PATIENCE)
        )
        if self.provider.shared:
            self.report.say(f"Context {self.provider.name} ({kube.server}), namespace {self.settings.namespace}")
        return kube

    @property
    def seen(self) -> Seen:
        """The application in the cluster, as it was at most LOOK_SECONDS ago. Raises ClusterError.

        A prompt, a lock, a delivery or a tunnel may take longer than that, and the cluster may change meanwhile.
        """
        looked, now = self._looked, time.monotonic()
        if looked is None or now - self._since > LOOK_SECONDS:
            looked, self._since = Seen(self.kube, self.app, self.settings.namespace, self.cluster), now
            self._looked = looked
        return looked

    def forget(self, *names: str) -> None:
        """Forget what may have changed, so that it is read again: "images", "manifests", "seen", "cluster", "kube"."""
        for name in names:
            self.__dict__.pop(name, None)
        if "seen" in names:
            self._looked = None

    @property
    def kubectl_flags(self) -> tuple[str, ...]:
        """The flags that select the cluster and the namespace."""
        namespace = self.settings.namespace
        return (*self.provider.kubectl, *(("--namespace", namespace) if namespace != "default" else ()))

    def kubectl(self, *words: str) -> list[str]:
        """Return the words of a kubectl command for this cluster and namespace."""
        return ["kubectl", *self.kubectl_flags, *words]

    def wait(self, text: str, check: Callable[[], State], error: type[TaskError], late: str, hint: str, **options: float) -> None:
        """Show `text` until the check returns Done; the other arguments are those of `wait.until_done`."""
        with self.do.step(text) as at:
            wait.until_done(check, error, late, hint, timeout=self.settings.timeout, on_change=at, **options)

    def agree(self, going: Sequence[str] = (), wide: Sequence[str] = ()) -> None:
        """Ask the user to confirm the first change to an existing cluster; `going` names the objects to be deleted, `wide` the
        cluster-scoped objects to be changed.

        Raises SettingError if there is no terminal, TaskError if the user does not agree.
        """
        asked = {"", *wide}
        if self._agreed or not self.provider.shared or asked <= self._answered:
            return
        what = f"Delete {', '.join(going)} in" if going else f"Change {', '.join(wide)} and" if wide else "Change"
        where = f"namespace {self.settings.namespace} of context {self.provider.name} ({self.kube.server})"
        if not self.report.agrees(f"{what} {where}?"):
            raise TaskError("Nothing was changed.")
        self._answered |= asked

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the namespace's lock in the block: two tasks of this user that change it would wait for each other's pods."""
        if self._locked:
            yield
            return
        where = self.provider.name, self.settings.provider, self.settings.namespace
        with self.do.holding(locking.application(self.settings.cache, *where, self.report.tell)):
            self._locked = True
            try:
                yield
            finally:
                self._locked = False


def begin(c: Context, *, json: bool = False, piped: bool = False) -> Run:
    """Return the run of a task's invocation; `json` and `piped` are for this task's report. Raises SetupError, SettingError."""
    require_packages()
    interruption.reset()
    ours = c.config[settings.OURS]
    if not ours["runs"]:
        project: Project = ours["project"]
        echo, dry, agreed = (bool(c.config.run.get(name)) for name in ("echo", "dry", "yes"))
        report = Report(results=not dry)
        ours["runs"] = (Run(settings.read(project, c.config), report, echo=echo, dry=dry, agreed=agreed),)
    (run,) = ours["runs"]
    current: Run = run
    current.report.begin(json=json, piped=piped)
    current.do.show(lambda: _environment(current))
    return current


def require_packages() -> None:
    """Raise SetupError if the other packages of requirements/tasks.txt are not installed beside invoke."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        locked = Path(__file__).resolve().parents[2] / "requirements" / "tasks.txt"  # in a clone
        wanted = f"--requirement {shlex.quote(str(locked))}" if locked.exists() else "kubetasks"
        raise SetupError(f"Python packages are missing: {', '.join(missing)}.", f"python3 -m pip install {wanted}")


def _environment(run: Run) -> str:
    """Return the export command after which pasted commands use the programs and the cluster of the tasks."""
    folders: list[str] = []
    for program in (run.provider.program, requirements.kubectl().reference):
        folder = str(Path(program).parent)
        if os.sep in program and shutil.which(Path(program).name) != program and folder not in folders:
            folders.append(folder)
    path = [f'PATH={shlex.quote(":".join(folders))}:"$PATH"'] if folders else []
    return " ".join(["export", *path, *(f"{name}={shlex.quote(value)}" for name, value in run.provider.environment.items())])
