"""Build what is missing on this machine: Go compiles while Debian's file systems are created."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kubetasks.engine.client import Engine
from kubetasks.engine.content import read_context
from kubetasks.errors import SetupError
from kubetasks.project import versions
from kubetasks.project.settings import Settings
from kubetasks.setup import requirements
from kubetasks.setup.requirements import File, Requirement
from kubetasks.terminal import interruption
from kubetasks.terminal.door import Door
from nodeimages import (
    compiler,
    golang,
    kind_node,
    kind_programs,
    minikube_node,
    minikube_programs,
    names,
    node,
    programs,
    python,
    registry,
    rootfs,
)

PACKAGES = ["mmdebstrap", "debian-archive-keyring"]  # what building needs of this machine


@dataclass(frozen=True)
class Recipe:
    """How a provider's needs are built. `files` are found among its programs by name; `folder` is where these are kept."""

    folder: str
    programs: str
    compile: Callable[[Path, compiler.Go, Path, compiler.Progress], None]
    files: Mapping[str, File]
    image: Requirement
    packages: list[str]
    complete: Callable[[Path, node.Parts], None]


def recipes() -> tuple[Recipe, ...]:
    """The recipes for all that can be built."""
    return (
        Recipe(
            folder=f"kind-programs-{names.kind_programs_digest()}",
            programs="kind, MetalLB, the pod network and the provisioner",
            compile=kind_programs.build,
            files={"kind": requirements.KIND, "metallb-native.yaml": requirements.LOAD_BALANCER},
            image=requirements.KIND_NODE_IMAGE,
            packages=kind_node.PACKAGES,
            complete=kind_node.complete,
        ),
        Recipe(
            folder=f"minikube-programs-{names.minikube_programs_digest()}",
            programs="minikube",
            compile=minikube_programs.build,
            files={"minikube": requirements.MINIKUBE},
            image=requirements.MINIKUBE_NODE_IMAGE,
            packages=minikube_node.PACKAGES,
            complete=minikube_node.complete,
        ),
    )


class Build:
    """One build. `prepare` installs PACKAGES and returns the engine; both may take a while, so Go compiles meanwhile."""

    def __init__(
        self, settings: Settings, do: Door, log: Path, prepare: Callable[[], Engine], missing: Collection[Requirement]
    ) -> None:
        self._settings = replace(settings, images="build")  # what is built, whether it could be pulled or not
        self._do = do
        self._log = log
        self._prepare = prepare
        self._missing = missing
        self._work = settings.cache / "build"
        self._version = versions.KUBERNETES[settings.kubernetes]
        self._around = settings.cache / f"programs-{names.programs_digest()}"
        kubernetes = f"kubernetes-{self._version.built}-{names.kubernetes_digest(self._version)}"
        self._kubernetes = settings.cache / kubernetes
        self._engine: Engine | None = None
        self._prepared, self._given_up = threading.Event(), threading.Event()

    def run(self) -> None:
        """Build what is missing. Raises SetupError, ProgramError, EngineError."""
        wanted = [one for one in recipes() if {one.image, *one.files.values()}.intersection(self._missing)]
        nodes = [one for one in wanted if one.image in self._missing]
        self._work.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._work / "go", ignore_errors=True)  # of an interrupted build; the compiler's cache stays
        with ThreadPoolExecutor(max_workers=2) as pool:
            jobs = [pool.submit(self._debian, nodes), pool.submit(self._compile, wanted, nodes)]
            try:
                done, _ = wait(jobs, return_when=FIRST_EXCEPTION)
                for job in done:
                    job.result()
            except BaseException:
                self._given_up.set()
                self._prepared.wait()  # apt is not ended: it would leave packages half configured
                interruption.terminate_all()  # the other one's
                raise
        if requirements.REGISTRY in self._missing:
            assert self._engine is not None
            import_root(self._engine, self._registry_root, names.registry(), registry.IMAGE_CHANGES)
        for recipe in nodes:
            self._make_node(recipe)
        shutil.rmtree(self._work)

    def _debian(self, nodes: list[Recipe]) -> None:
        """Everything but Go: the engine, then the file systems."""
        try:
            self._engine = self._prepare()
        finally:
            self._prepared.set()
        if requirements.BASE_IMAGE in self._missing:
            with self._do.step("Creating the base image with Python from Debian packages"):
                make_python(self._engine, versions.DEBIAN, self._fresh(self._work / "python-root"), self._log)
        for recipe in nodes:
            if self._given_up.is_set():
                return
            with self._do.step("Creating the node's file system from Debian packages"):
                rootfs.make(self._fresh(self._root(recipe)), recipe.packages, log=self._log)

    def _compile(self, wanted: list[Recipe], nodes: list[Recipe]) -> None:
        if nodes and not self._kubernetes.exists():
            with self._compiling(f"Kubernetes {self._version.built}") as (go, progress):
                programs.build_kubernetes(self._version, self._kubernetes, go, self._work, progress)
        if nodes and not self._around.exists():
            with self._compiling("the programs around Kubernetes") as (go, progress):
                programs.build_around(self._around, go, self._work, progress)
        for recipe in wanted:
            folder = self._settings.cache / recipe.folder
            if not folder.exists():
                with self._compiling(recipe.programs) as (go, progress):
                    recipe.compile(folder, go, self._work, progress)
            for name, need in recipe.files.items():
                target = Path(need.find(None, self._settings).reference)
                if not target.exists():
                    target.parent.mkdir(parents=True, exist_ok=True)
                    part = target.with_suffix(".part")  # whoever finds the file takes it for whole
                    shutil.copy(folder / name, part)
                    part.rename(target)

        if requirements.REGISTRY in self._missing:
            with self._compiling("the registry") as (go, progress):
                registry.build(self._fresh(self._registry_root), go, progress)

    @property
    def _registry_root(self) -> Path:
        return self._work / "registry-root"

    @contextmanager
    def _compiling(self, what: str) -> Iterator[tuple[compiler.Go, compiler.Progress]]:
        program = golang.program(self._settings, self._do, self._log)
        go = compiler.Go(program, self._work, self._log, self._given_up)
        go.environment["GOPATH"] = str(self._work / "gopath")  # Go notes the checksums of modules there
        with self._do.step(f"Compiling {what}") as at:
            yield go, at

    def _make_node(self, recipe: Recipe) -> None:
        reference = recipe.image.find(None, self._settings).reference
        root = self._root(recipe)
        own = self._settings.cache / recipe.folder
        parts = node.Parts(self._version, self._kubernetes, self._around, own, self._work, self._log)
        with self._do.step(f"Assembling the node image ({reference})"):
            recipe.complete(root, parts)
            unfinished = f"{reference}-unfinished"
            assert self._engine is not None
            import_root(self._engine, root, unfinished, node.IMAGE_CHANGES)
            folder = self._fresh(self._work / "last-step")
            folder.mkdir()
            (folder / "Dockerfile").write_text(f"FROM {unfinished}\nSTOPSIGNAL {node.STOP_SIGNAL}\n")
            self._engine.build(read_context(folder), [reference], {}, lambda _line: None)
            self._engine.remove_image(unfinished)

    def _root(self, recipe: Recipe) -> Path:
        return self._work / f"{recipe.folder}-root"

    def _fresh(self, folder: Path) -> Path:
        """The folder, without what an interrupted build left in it."""
        shutil.rmtree(folder, ignore_errors=True)
        return folder


def make_python(engine: Engine, debian: str, root: Path, log: Path, package: str = python.DEFAULT) -> None:
    """Make the image with that Python of a Debian release, using the empty folder `root`. Raises ProgramError."""
    rootfs.make(root, python.packages(package), log=log, debian=debian)
    python.complete(root)
    import_root(engine, root, names.python(debian, package), python.IMAGE_CHANGES)


def import_root(engine: Engine, root: Path, reference: str, changes: list[str]) -> None:
    """Make an image of a file system; `changes` are instructions of a Dockerfile."""
    with _tar(root) as stream:
        engine.import_image(stream, reference, changes)


@contextmanager
def _tar(folder: Path) -> Iterator[object]:
    """The folder's content as a tar stream, with device nodes and owners."""
    process = subprocess.Popen(["tar", "-C", str(folder), "--numeric-owner", "-c", "."], stdout=subprocess.PIPE)
    try:
        yield process.stdout
    finally:
        assert process.stdout is not None
        process.stdout.close()
        if process.wait() not in (0, -13):
            raise SetupError(f"tar could not read {folder}.")
