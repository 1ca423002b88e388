"""Compile Go programs from locked modules."""

import itertools
import json
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from kubetasks.errors import SetupError
from kubetasks.terminal import shell

Progress = Callable[[str, int, int], None]


class Go:
    """The go command, with caches of its own under `work` so that nothing is left in the person's.

    With GOCACHE and GOMODCACHE set, it uses those: builds that follow each other share what they compile.
    """

    def __init__(self, go: str, work: Path, log: Path, given_up: threading.Event) -> None:
        self._go = go
        self._given_up = given_up  # another part of the build has failed: no program is started any more
        self._log = log
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "go" / "env"
        self.environment = {
            "XDG_CONFIG_HOME": str(work / "config"),  # Go counts its commands there
            "GOENV": os.environ.get("GOENV") or str(settings),
            "CGO_ENABLED": "0",
            "GOCACHE": os.environ.get("GOCACHE") or str(work / "gocache"),
            "GOMODCACHE": os.environ.get("GOMODCACHE") or str(work / "gomodcache"),
            "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOGC": os.environ.get("GOGC", "400"),  # trades memory (some 2 GiB) for a tenth of the time
        }

    def run(self, folder: Path, *words: str, on_line: Callable[[str], None] | None = None) -> str:
        if self._given_up.is_set():
            raise SetupError("The build was given up.")
        return shell.run([self._go, *words], env=self.environment, cwd=folder, log=self._log, on_line=on_line)

    def module(self, folder: Path, name: str) -> Path:
        """The unpacked source of `name` as in path@version, checked against go.sum."""
        return Path(json.loads(self.run(folder, "mod", "download", "-json", name))["Dir"])


def build(
    go: Go,
    source: Path,
    targets: tuple[str, ...],
    out: Path,
    progress: Progress,
    *,
    module: str = "go.mod",
    stamp: Mapping[str, str],
) -> None:
    """Compile `targets` into the fresh folder `out`; `stamp` sets string variables of packages. Raises ProgramError."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    packages = set(go.run(source, "list", f"-modfile={module}", "-deps", *targets).split())
    compiled = itertools.count(1)

    def on_line(line: str) -> None:
        if line in packages:
            progress(line, next(compiled), len(packages))

    go.run(
        source,
        "build",
        "-v",
        "-trimpath",
        f"-modfile={module}",
        "-gcflags=all=-dwarf=false",  # -s -w drops it at the end: not making it saves a tenth of the time
        "-ldflags=" + " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in stamp.items())]),
        "-o",
        f"{out}/",
        *targets,
        on_line=on_line,
    )


def copy_module(module: Path, folder: Path) -> None:
    """Copy a module's source, whose files are read-only, so that it can be changed."""
    shutil.copytree(module, folder)
    _writable(folder)


def patch(module: Path, name: str, old: str, new: str) -> None:
    """Replace `old` in a file of a module's copy. Raises SetupError unless it occurs once."""
    text = (module / name).read_text()
    if text.count(old) != 1:
        raise SetupError(f"{name} of {module.name} is not the one that nodeimages/ patches.")
    (module / name).write_text(text.replace(old, new))


def keep(out: Path, folder: Path) -> None:
    """Move what was compiled to `folder`, whole or not at all."""
    _writable(out)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    out.rename(folder)


def _writable(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_symlink():
            continue
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def version_of(output: str) -> tuple[int, ...]:
    """The release in the output of `go version`, for example (1, 26, 8), or ()."""
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", output)
    return tuple(int(part or 0) for part in found.groups()) if found else ()
