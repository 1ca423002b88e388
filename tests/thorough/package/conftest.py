"""The installed package, and folders with other applications, for the tests in this folder."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kubetasks.providers.registry import PORT, registry_of
from kubetasks.testing.cluster import Cluster
from tasks import PROJECT
from tests.support import driver, leftovers, public
from tests.support.driver import SECONDS, docker
from tests.support.processes import ended, started
from tests.support.registries import Registry
from tests.support.run import Run, any_port

LABEL = "app.kubernetes.io/managed-by=kubetasks-"  # on what a project creates, followed by its name
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}


def build_wheel(source: Path, folder: Path) -> Path:
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(argv, cwd=source, env=os.environ | EPOCH, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


@dataclass(frozen=True)
class Theirs:
    """A folder with an application, and how its user runs the package there; `variables` are the user's environment variables."""

    name: str
    folder: Path
    programs: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(self.programs), *os.environ["PATH"].split(os.pathsep)]
        own = {"INVOKE_APP_PORT": "5000", "INVOKE_APP_REPLICAS": "many"}  # the project's own: the package must ignore them
        return {"PATH": os.pathsep.join(paths), "PYTHONPATH": "", **own, **self.variables}

    def typed(self, *words: str, code: int = 0, program: str = "kubetasks", **variables: str) -> str:
        """Run the program, and return its standard output followed by its standard error."""
        told = driver.run([str(self.programs / program), *words], self.folder, self.environment | variables, code=code)
        return told.stdout + told.stderr

    def pytest(self, *words: str) -> list[str]:
        return [str(self.programs / "pytest"), "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *words]

    def tested(self, *words: str, code: int = 0, on: dict[str, str] | None = None) -> str:
        """Run pytest, on the existing cluster `on` if given, and return what it prints."""
        options = [f"--kubetasks-{name}={value}" for name, value in (on or {}).items() if name != "kubeconfig"]
        environment = self.environment | ({"KUBECONFIG": on["kubeconfig"]} if on else {})
        with started(self.pytest(*words, *options), environment, self.folder) as run:
            told = ended(run, SECONDS)
        assert run.returncode == code, told
        return told

    def shell(self, line: str) -> str:
        """Run a printed command line, and return its output."""
        return driver.run(["bash", "-c", line], self.folder, self.environment, code=None).stdout

    def left(self) -> str:
        """Return the containers and networks whose names start with the application's, and the images with its label."""
        found = docker("ps", "--all", "--quiet", "--filter", f"name=^{self.name}")
        found += docker("network", "ls", "--quiet", "--filter", f"name=^{self.name}")
        return found + docker("images", "--all", "--quiet", "--filter", f"label={LABEL}{self.name}")


Begin = Callable[..., Theirs]


@pytest.fixture(scope="session")
def programs(this_run: Run) -> Path:
    """The programs of an environment with only the wheel, its requirements and the builder, which may have built node images."""

    def made() -> dict[str, Any]:
        folder = this_run.folder / "package"
        python = folder / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
        pip.append("--no-compile")  # few modules of the sixty packages are imported
        locked = PROJECT.folder / "requirements" / "test.txt"
        subprocess.run([*pip, "--require-hashes", "--requirement", str(locked)], check=True)
        subprocess.run([*pip, "--no-deps", str(build_wheel(PROJECT.folder, folder))], check=True)
        (builder := folder / "builder").mkdir()
        for name in ("nodeimages", "hostengine"):
            (builder / name).symlink_to(PROJECT.folder / name)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "builder.pth").write_text(f"{builder}\n")
        return {"programs": str(python.parent)}

    return Path(this_run.once("package", made)["programs"])


@pytest.fixture(scope="session")
def on(k8s_cluster: Cluster, this_run: Run) -> dict[str, str]:
    """The run's cluster, as an existing one that pulls its images from a registry."""
    name = registry_of(this_run.tasks.cluster)
    registry = Registry(docker("port", name, str(PORT)).strip(), f"{name}:{PORT}", name, "")
    for node in this_run.tasks.nodes():
        registry.trusted_by(node)
    return {"context": k8s_cluster.context, "kubeconfig": str(k8s_cluster.kubeconfig), "registry": registry.address}


@pytest.fixture
def begin(this_run: Run, tmp_path: Path, programs: Path) -> Iterator[Begin]:
    """Create a folder with the given files of an application, or with a copy of a folder's files, under a unique name.

    `called` is the application's name in the files.
    """
    names = []

    def made(files: Mapping[str, str] | Path, called: str = "") -> Theirs:
        if isinstance(files, Path):
            files = {str(path.relative_to(files)): path.read_text() for path in files.rglob("*") if path.is_file()}
        names.append(name := this_run.unique())
        for file, text in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            named = rf'((?:name|image)(?:: | = )"?|of\("|images\.){called}\b'
            path.write_text(re.sub(named, rf"\g<1>{name}", text) if called else text)
        public.use(this_run.tasks.settings, tmp_path / name)
        given = {"PORT": str(any_port()), "KUBERNETES": this_run.tasks.settings.kubernetes}
        variables = {f"INVOKE_KUBETASKS_CLUSTER_{key}": value for key, value in given.items()}
        return Theirs(name, tmp_path / name, programs, variables)

    yield made
    for name in names:
        leftovers.remove(name)
        docker("image", "prune", "--force", f"--filter=label={LABEL}{name}")  # the stages of failed builds


def namespaces(cluster: Cluster, owner: Theirs | None = None) -> list[str]:
    """Return the cluster's namespaces or, if `owner` is given, the ones that its tests created."""
    selector = f"{LABEL}{owner.name}" if owner else ""
    return cluster.kubectl("get", "namespaces", "--output=name", f"--selector={selector}").split()
