"""Debian's packages, installed and removed with apt."""

import os
import shutil
from pathlib import Path

from kubetasks import shell
from kubetasks.machine import receipt

QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


def possible() -> bool:
    """Whether this is Debian or one of its children, and we are root."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def _installed() -> set[str]:
    listing = shell.run(["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev} ${Package}\n"])
    # one that another apt is unpacking just now is there too: it is not ours to remove later
    return {line.split()[1] for line in listing.splitlines() if line[1] not in "nc"}


def install(names: list[str], cache: Path, log: Path) -> None:
    """Install those that apt knows, and note what came new, dependencies too. Raises ProgramError."""
    before = _installed()
    try:
        if set(names) <= before:
            return
        shell.run(["apt-get", "update", "--quiet"], env=QUIET, log=log)
        known = shell.run(["apt-cache", "pkgnames"], env=QUIET).split()
        wanted = [name for name in names if name in set(known)]
        shell.run(["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *wanted], env=QUIET, log=log)
    finally:
        made = receipt.read(cache)
        made.packages = sorted({*made.packages, *(_installed() - before)})
        receipt.write(cache, made)


def remove(names: list[str], log: Path) -> None:
    """Remove packages with their configuration. Raises ProgramError."""
    present = [name for name in names if name in _installed()]
    if present:
        shell.run(["apt-get", "purge", "--quiet", "--yes", *present], env=QUIET, log=log)
