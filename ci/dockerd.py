"""Docker's newest engine, compiled from its Go module because Debian lacks it; the container runtime is Debian's."""

import json
import shutil
import threading
from pathlib import Path

from kubetasks.errors import SetupError
from kubetasks.project.settings import Settings
from kubetasks.terminal.door import Door
from nodeimages import compiler, golang

RELEASE = "29.8.1"
MODULE = "github.com/moby/moby/v2@v2.0.0-beta.24"  # of that release
CHECKSUM = "h1:sWv7EckkDJhpraR9yUjkw1XeVf39+MWd58E22PYloNA="  # as in go.sum; the module's own covers only dependencies
PROGRAMS = ("./cmd/dockerd", "./cmd/docker-proxy")
STAMP = {"github.com/moby/moby/v2/dockerversion.Version": RELEASE}


def compiled(settings: Settings, do: Door, log: Path) -> Path:
    """Return the cache folder with its programs, compiled if necessary. Raises SetupError, ProgramError."""
    folder, work = settings.cache / f"dockerd-{RELEASE}", settings.cache / "build" / "dockerd"
    if folder.exists():
        return folder
    work.mkdir(parents=True, exist_ok=True)
    go = compiler.Go(golang.program(settings, do, log), work, log, threading.Event())
    go.environment["GOPATH"] = str(work / "gopath")  # Go records module checksums there
    with do.step(f"Compiling Docker {RELEASE}") as at:
        found = json.loads(go.run(work, "mod", "download", "-json", MODULE))
        if found["Sum"] != CHECKSUM:
            raise SetupError(f"{MODULE} is not what was pinned: {found['Sum']}, not {CHECKSUM}.")
        compiler.build(go, Path(found["Dir"]), PROGRAMS, work / "programs", at, stamp=STAMP)
        compiler.keep(work / "programs", folder)
    shutil.rmtree(work)
    return folder
