"""Docker's newest engine, compiled from its Go module: Debian has none, and what it runs containers with is Debian's."""

import json
import shutil
import threading
from pathlib import Path

from kubetasks.errors import SetupError
from kubetasks.project.settings import Settings
from kubetasks.terminal.door import Door
from nodeimages import compiler, golang

RELEASE = "29.8.1"
MODULE = "github.com/moby/moby/v2@v2.0.0-beta.24"  # that release's
CHECKSUM = "h1:sWv7EckkDJhpraR9yUjkw1XeVf39+MWd58E22PYloNA="  # as in a go.sum; the module's own has those of all others
PROGRAMS = ("./cmd/dockerd", "./cmd/docker-proxy")
STAMP = {"github.com/moby/moby/v2/dockerversion.Version": RELEASE}


def compiled(settings: Settings, do: Door, log: Path) -> Path:
    """The folder with its programs in the cache. Raises SetupError, ProgramError."""
    folder, work = settings.cache / f"dockerd-{RELEASE}", settings.cache / "build" / "dockerd"
    if folder.exists():
        return folder
    work.mkdir(parents=True, exist_ok=True)
    go = compiler.Go(golang.program(settings, do, log), work, log, threading.Event())
    go.environment["GOPATH"] = str(work / "gopath")  # Go notes the checksums of modules there
    with do.step(f"Compiling Docker {RELEASE}") as at:
        found = json.loads(go.run(work, "mod", "download", "-json", MODULE))
        if found["Sum"] != CHECKSUM:
            raise SetupError(f"{MODULE} is not what was pinned: {found['Sum']}, not {CHECKSUM}.")
        compiler.build(go, Path(found["Dir"]), PROGRAMS, work / "programs", at, stamp=STAMP)
        compiler.keep(work / "programs", folder)
    shutil.rmtree(work)
    return folder
