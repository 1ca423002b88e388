"""The package as others have it: a wheel in an environment of its own, and a folder with an application of theirs."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks import PROJECT
from tests.support.driver import docker
from tests.support.run import Run

SECONDS = 300
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
        folder = Path(run.folder) / "package"
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
    """A folder with an application, and how a person uses the package there."""

    name: str
    folder: Path
    programs: Path
    port: int

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(self.programs), *os.environ["PATH"].split(os.pathsep)]
        own = {"INVOKE_APP_PORT": "5000", "INVOKE_APP_REPLICAS": "many"}  # the project's own, whatever they mean there
        return {"PATH": os.pathsep.join(paths), "INVOKE_KUBETASKS_CLUSTER_PORT": str(self.port), "PYTHONPATH": "", **own}

    def typed(self, *words: str, code: int = 0, program: str = "kubetasks", **variables: str) -> str:
        """What the program prints on standard output, and on standard error after it."""
        ended = subprocess.run(
            [str(self.programs / program), *words],
            cwd=self.folder,
            env=os.environ | self.environment | variables,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert ended.returncode == code, f"{words} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def pytest(self, *words: str) -> list[str]:
        return [str(self.programs / "pytest"), "-p", "no:randomly", "-p", "no:cacheprovider", *words]

    def left(self) -> str:
        """The containers, networks and images with its label, or whose names begin with the application's."""
        label = f"app.kubernetes.io/managed-by=kubetasks-{self.name}"
        found = docker("ps", "--all", "--quiet", "--filter", f"name=^{self.name}")
        found += docker("network", "ls", "--quiet", "--filter", f"name=^{self.name}")
        return found + docker("images", "--all", "--quiet", "--filter", f"label={label}")
