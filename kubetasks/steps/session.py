"""What a task works with, made from invoke's context when the task begins."""

import importlib.util
import os
import shlex
import shutil
import signal
from functools import cached_property
from pathlib import Path

from invoke.context import Context

from kubetasks import engine, image, manifests, settings
from kubetasks.engine import Engine
from kubetasks.errors import ClusterError, EngineError, RolloutError, SetupError
from kubetasks.image import Image
from kubetasks.kube import client, objects
from kubetasks.kube.client import Kube, Object
from kubetasks.providers.base import Cluster, Provider
from kubetasks.providers.existing import Existing
from kubetasks.providers.kind import Kind
from kubetasks.report import Report
from kubetasks.settings import APP, OWNER, OWNER_LABEL, PROJECT, Settings
from kubetasks.setup import images

PACKAGES = ("docker", "filelock", "kubernetes", "rich", "tenacity", "yaml")  # what tasks import when they need it


def require_packages() -> None:
    """Raises SetupError where invoke runs without the other packages of requirements/tasks.txt."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"Python packages are missing: {', '.join(missing)}.",
            "./inv brings them; or: pip install -r requirements/tasks.txt",
        )


class Session:
    """Settings, report, engine, provider and cluster of one task; each is made when it is first asked for."""

    def __init__(self, context: Context, *, json: bool = False) -> None:
        require_packages()
        for number in (signal.SIGTERM, signal.SIGHUP):  # told to end, a task takes back what is half made
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
                signal.signal(number, signal.default_int_handler)
        self.settings: Settings = settings.read(context.config)
        self.report = Report(echo=bool(context.config.run.echo), dry=bool(context.config.run.dry), json=json)
        self.report.environment(_environment_line(self.settings, self.kubeconfig))

    @property
    def kubeconfig(self) -> str:
        """The path of the kubeconfig file that kubectl is to use."""
        if self.settings.provider == "existing":
            return self.settings.kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        return str(self.settings.state_folder / "kubeconfig")

    @property
    def kubectl(self) -> str:
        """How the mirrored kubectl commands begin."""
        context = f" --context {self.settings.context}" if self.settings.provider == "existing" else ""
        namespace = "" if self.settings.namespace == "default" else f" --namespace {self.settings.namespace}"
        return f"kubectl{context}{namespace}"

    def applied(self, manifest: str, *edits: str) -> str:
        """The mirrored pipe that applies a manifest of k8s/ as ours; each of `edits` reads and writes YAML."""
        return " | ".join(
            (
                f"kubectl label --local -f k8s/{manifest}.yaml {OWNER_LABEL}={OWNER} -o yaml",
                *edits,
                f"{self.kubectl} apply --server-side --force-conflicts --field-manager={OWNER} -f -",
            )
        )

    @cached_property
    def engine(self) -> Engine:
        return engine.connect()

    @cached_property
    def provider(self) -> Provider:
        return self.kind if self.settings.provider == "kind" else Existing(self.settings)

    @cached_property
    def kind(self) -> Kind:
        node, _present = images.node_image(self.engine, self.settings)
        program = images.kind_program(self.settings)
        return Kind(self.settings, self.engine, self.report, str(program) if program.exists() else "kind", node)

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster, running. Raises ClusterError."""
        return self.provider.cluster()

    @cached_property
    def kube(self) -> Kube:
        return client.connect(self.cluster.kubeconfig, self.cluster.context)

    @cached_property
    def image(self) -> Image:
        """The image of the present source, built or not."""
        try:
            found: Engine | None = self.engine
        except EngineError:
            if not self.report.dry:
                raise
            found = None
        base, _present = images.base_image(found, self.settings)
        return image.current(engine.context_files(PROJECT), base)

    def manifest(self, name: str) -> Object:
        """The one object of k8s/NAME.yaml."""
        return manifests.read(manifests.FOLDER / f"{name}.yaml")[0]

    def deployed(self) -> Object | None:
        """The deployment, if there is one."""
        return self.kube.get("Deployment", APP, self.settings.namespace)

    def require_deployed(self) -> None:
        """Raises RolloutError where there is no deployment, OwnershipError where it is not ours."""
        if objects.there(self.kube, "Deployment", APP, self.settings.namespace) is None:
            raise RolloutError(f"There is no deployment {APP} in namespace {self.settings.namespace}.", "./inv deploy")

    def require_our_cluster(self) -> None:
        """Raises ClusterError for a cluster that was there before us."""
        if self.settings.provider == "existing":
            raise ClusterError(
                f"The cluster of context {self.settings.context} is not ours to stop or delete.",
                "./inv clean takes the application out of it",
            )

    def require_namespace(self) -> None:
        """Raises ClusterError where the namespace is missing."""
        if self.kube.get("Namespace", self.settings.namespace) is None:
            raise ClusterError(
                f"The namespace {self.settings.namespace} does not exist.",
                f"kubectl create namespace {self.settings.namespace}",
            )


def _environment_line(settings: Settings, kubeconfig: str) -> str:
    """The export line that makes pasted kind and kubectl commands use our programs and our cluster."""
    from kubetasks.setup import plan

    folders = []
    for program in (str(images.kind_program(settings)), plan.kubectl_program()):
        if program and shutil.which(Path(program).name) != program and str(Path(program).parent) not in folders:
            folders.append(str(Path(program).parent))
    path = f'PATH={shlex.quote(os.pathsep.join(folders))}:"$PATH" ' if folders else ""
    return f"export {path}KUBECONFIG={shlex.quote(kubeconfig)}"
