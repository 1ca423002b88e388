"""The build path: node_image/ run on this machine, with Go compiling while Debian's file systems are made."""

import io
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from kubetasks import versions
from kubetasks.engine import Engine, connect
from kubetasks.errors import SetupError
from kubetasks.report import Report
from kubetasks.settings import Settings
from kubetasks.setup import golang, images, packages
from node_image import node, programs, python, recipe, rootfs

BUILD_PACKAGES = ["mmdebstrap", "debian-archive-keyring"]


def needs() -> str:
    """What keeps this machine from building, or nothing."""
    if not packages.possible():
        return "building the images needs root on Debian or Ubuntu"
    if os.uname().machine != "x86_64":
        return f"the images can be built for x86_64 only, not for {os.uname().machine}"
    return ""


class Build:
    """One run of the build path. The engine may still be on its way: `engine_ready` brings it when it is needed."""

    def __init__(self, settings: Settings, report: Report, log: Path, engine_ready: Callable[[], None]) -> None:
        self._settings = settings
        self._report = report
        self._log = log
        self._engine_ready = engine_ready
        self._work = settings.cache / "build"
        self._stop = threading.Event()
        self._version = versions.KUBERNETES[settings.kubernetes]
        self._programs = settings.cache / f"programs-{recipe.programs_digest()}"
        self._kubernetes = settings.cache / f"kubernetes-{self._version.built}-{recipe.kubernetes_digest(self._version)}"
        self._engine: Engine | None = None

    def run(self, *, node_missing: bool, base_missing: bool) -> None:
        """Build what is missing. Raises SetupError, ProgramError, EngineError."""
        reason = needs()
        if reason:
            raise SetupError(f"No image registry answers, and {reason}.", "Connect to one, or run this as root on Debian")
        self._work.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._work / "go", ignore_errors=True)  # of a build that was cut off; what is compiled already still serves
        with ThreadPoolExecutor(max_workers=2) as pool:
            jobs = [pool.submit(self._debian, node_missing, base_missing), pool.submit(self._compile, node_missing)]
            try:
                done, _ = wait(jobs, return_when=FIRST_EXCEPTION)
                for job in done:
                    job.result()
            except BaseException:
                self._stop.set()
                raise
        if node_missing:
            self._make_node()
        shutil.rmtree(self._work)

    def _debian(self, node_missing: bool, base_missing: bool) -> None:
        """Everything that is not Go: the engine, then the file systems."""
        self._engine_ready()
        self._engine = connect()
        packages.install(BUILD_PACKAGES, self._settings.cache, self._log)
        if base_missing:
            with self._report.step("Making the base image with Python from Debian packages"):
                root = self._fresh("python-root")
                make_python(self._engine, versions.DEBIAN, root, self._log, self._stop)
        if node_missing:
            with self._report.step("Making the node's file system from Debian packages"):
                rootfs.make(self._fresh("node-root"), recipe.NODE_PACKAGES, log=self._log, stop=self._stop)

    def _compile(self, node_missing: bool) -> None:
        files = {"kind": images.kind_program(self._settings), "metallb-native.yaml": images.metallb_manifest(self._settings)}
        if node_missing and not self._kubernetes.exists():
            with self._compiling(f"Kubernetes {self._version.built}") as (go, progress):
                programs.build_kubernetes(self._version, self._kubernetes, go, self._work, progress)
        folder = self._programs
        if not folder.exists():
            if node_missing:
                with self._compiling("the programs around Kubernetes") as (go, progress):
                    programs.build_around(folder, go, self._work, progress)
            elif not all(file.exists() for file in files.values()):
                folder = self._work / "kind"
                with self._compiling(f"kind {versions.KIND}") as (go, progress):
                    programs.build_around(folder, go, self._work, progress, programs.KIND_ALONE)
        for source, target in files.items():
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / source, target)

    @contextmanager
    def _compiling(self, what: str) -> Iterator[tuple[programs.Go, programs.Progress]]:
        program = golang.program(self._settings, self._report, self._log, self._stop)
        go = programs.Go(program, self._work, self._log, self._stop)
        with self._report.step(f"Compiling {what}") as step:
            yield go, step.at

    def _make_node(self) -> None:
        reference = recipe.node_reference(self._version.minor)
        root = self._work / "node-root"
        with self._report.step(f"Putting the node image together ({reference})"):
            node.complete(root, self._programs, self._kubernetes, self._version, self._work, log=self._log, stop=self._stop)
            unfinished = f"{reference}-unfinished"
            assert self._engine is not None
            _import(self._engine, root, unfinished, node.IMAGE_CHANGES)
            dockerfile = io.BytesIO(f"FROM {unfinished}\nSTOPSIGNAL {node.STOP_SIGNAL}\n".encode())
            self._engine.build(self._work, [reference], {}, lambda _line: None, dockerfile)
            self._engine.remove_image(unfinished)

    def _fresh(self, name: str) -> Path:
        folder = self._work / name
        shutil.rmtree(folder, ignore_errors=True)
        return folder


def make_python(engine: Engine, debian: str, root: Path, log: Path, stop: threading.Event) -> None:
    """The image with the Python of a Debian release; `root` is an empty folder to make it in. Raises ProgramError."""
    rootfs.make(root, recipe.PYTHON_PACKAGES, log=log, stop=stop, debian=debian)
    python.complete(root)
    _import(engine, root, recipe.python_reference(debian), python.IMAGE_CHANGES)


def _import(engine: Engine, root: Path, reference: str, changes: list[str]) -> None:
    with _tar(root) as stream:
        engine.import_image(stream, reference, changes)


@contextmanager
def _tar(folder: Path) -> Iterator[object]:
    """The folder's content as a tar stream, whole: device nodes, owners and all."""
    process = subprocess.Popen(["tar", "-C", str(folder), "--numeric-owner", "-c", "."], stdout=subprocess.PIPE)
    try:
        yield process.stdout
    finally:
        assert process.stdout is not None
        process.stdout.close()
        if process.wait() not in (0, -13):
            raise SetupError(f"tar could not read {folder}.")
