"""Build what is missing on this machine: Go compiles while Debian's file systems are created."""

import io
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from kubetasks import artifacts, versions
from kubetasks.engine import Engine
from kubetasks.errors import SetupError
from kubetasks.offline import golang, node, programs, python, rootfs
from kubetasks.report import Report
from kubetasks.settings import Settings

PACKAGES = ["mmdebstrap", "debian-archive-keyring"]  # what building needs of this machine


class Build:
    """One build. `prepare` installs PACKAGES and returns the engine; both may take a while, so Go compiles meanwhile."""

    def __init__(self, settings: Settings, report: Report, log: Path, prepare: Callable[[], Engine]) -> None:
        self._settings = settings
        self._report = report
        self._log = log
        self._prepare = prepare
        self._work = settings.cache / "build"
        self._stop = threading.Event()
        self._version = versions.KUBERNETES[settings.kubernetes]
        self._programs = settings.cache / f"programs-{artifacts.programs_digest()}"
        kubernetes = f"kubernetes-{self._version.built}-{artifacts.kubernetes_digest(self._version)}"
        self._kubernetes = settings.cache / kubernetes
        self._engine: Engine | None = None

    def run(self, *, node_missing: bool, base_missing: bool) -> None:
        """Build what is missing. Raises SetupError, ProgramError, EngineError."""
        self._work.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self._work / "go", ignore_errors=True)  # of an interrupted build; the compiler's cache stays
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
        """Everything but Go: the engine, then the file systems."""
        self._engine = self._prepare()
        if base_missing:
            with self._report.step("Creating the base image with Python from Debian packages"):
                make_python(self._engine, versions.DEBIAN, self._fresh("python-root"), self._log, self._stop)
        if node_missing:
            with self._report.step("Creating the node's file system from Debian packages"):
                rootfs.make(self._fresh("node-root"), node.PACKAGES, log=self._log, stop=self._stop)

    def _compile(self, node_missing: bool) -> None:
        files = {
            "kind": Path(artifacts.kind(self._settings).reference),
            "metallb-native.yaml": Path(artifacts.metallb_manifest(self._settings).reference),
        }
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
        reference = artifacts.built_node(self._version.minor)
        root = self._work / "node-root"
        with self._report.step(f"Assembling the node image ({reference})"):
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
    """Make the image with the Python of a Debian release, using the empty folder `root`. Raises ProgramError."""
    rootfs.make(root, python.PACKAGES, log=log, stop=stop, debian=debian)
    python.complete(root)
    _import(engine, root, artifacts.built_python(debian), python.IMAGE_CHANGES)


def _import(engine: Engine, root: Path, reference: str, changes: list[str]) -> None:
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
