"""The package as others have it: a wheel in an environment of its own, and a folder with an application of theirs."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubetasks.testing.cluster import Cluster
from tasks import PROJECT
from tests.support import driver
from tests.support.driver import SECONDS, docker
from tests.support.processes import ended, started
from tests.support.run import Run

EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}


def build_wheel(source: Path, folder: Path) -> Path:
    argv = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(argv, cwd=source, env=os.environ | EPOCH, check=True, capture_output=True)
    (made,) = folder.glob("*.whl")
    return made


def install(run: Run) -> Path:
    """The folder of the programs of an environment that has the wheel and what it needs, and nothing of this repository's but
    the builder: the images of the nodes may have been built with it.
    """

    def made() -> dict[str, Any]:
        folder = run.folder / "package"
        python = folder / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
        locked = PROJECT.folder / "requirements" / "test.txt"
        subprocess.run([*pip, "--require-hashes", "--requirement", str(locked)], check=True)
        subprocess.run([*pip, "--no-deps", str(build_wheel(PROJECT.folder, folder))], check=True)
        (builder := folder / "builder").mkdir()
        for name in ("nodeimages", "hostengine"):
            (builder / name).symlink_to(PROJECT.folder / name)
        (packages,) = folder.glob("lib/python*/site-packages")
        (packages / "builder.pth").write_text(f"{builder}\n")
        return {"programs": str(python.parent)}

    return Path(run.once("package", made)["programs"])


@dataclass(frozen=True)
class Theirs:
    """A folder with an application, and how a person uses the package there: `variables` are what that person has set."""

    name: str
    folder: Path
    programs: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(self.programs), *os.environ["PATH"].split(os.pathsep)]
        own = {"INVOKE_APP_PORT": "5000", "INVOKE_APP_REPLICAS": "many"}  # the project's own, whatever they mean there
        return {"PATH": os.pathsep.join(paths), "PYTHONPATH": "", **own, **self.variables}

    def typed(self, *words: str, code: int = 0, program: str = "kubetasks", **variables: str) -> str:
        """What the program prints on standard output, and on standard error after it."""
        told = driver.run([str(self.programs / program), *words], self.folder, self.environment | variables, code=code)
        return told.stdout + told.stderr

    def pytest(self, *words: str) -> list[str]:
        return [str(self.programs / "pytest"), "-q", "-p", "no:randomly", "-p", "no:cacheprovider", *words]

    def tested(self, *words: str, code: int = 0, on: dict[str, str] | None = None) -> str:
        """What pytest prints; `on` is the cluster of others on which it runs, see `of_others`."""
        options = [f"--kubetasks-{name}={value}" for name, value in (on or {}).items() if name != "kubeconfig"]
        environment = self.environment | ({"KUBECONFIG": on["kubeconfig"]} if on else {})
        with started(self.pytest(*words, *options), environment, self.folder) as run:
            told = ended(run, SECONDS)
        assert run.returncode == code, told
        return told

    def shell(self, line: str) -> str:
        """Run a line that was printed."""
        return driver.run(["bash", "-c", line], self.folder, self.environment, code=None).stdout

    def left(self) -> str:
        """The containers, networks and images with its label, or whose names begin with the application's."""
        label = f"app.kubernetes.io/managed-by=kubetasks-{self.name}"
        found = docker("ps", "--all", "--quiet", "--filter", f"name=^{self.name}")
        found += docker("network", "ls", "--quiet", "--filter", f"name=^{self.name}")
        return found + docker("images", "--all", "--quiet", "--filter", f"label={label}")


def of_others(cluster: Cluster, run: Run) -> dict[str, str]:
    """The run's cluster, as one that somebody else has and that gets its images from a registry."""
    registry = run.tasks.provider().cluster().registry
    assert registry
    return {"context": cluster.context, "kubeconfig": str(cluster.kubeconfig), "registry": registry.outside}
