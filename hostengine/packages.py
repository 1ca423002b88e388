"""Install and remove Debian packages with apt, without removing any package that setup did not install."""

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kubetasks.errors import SetupError
from kubetasks.setup import receipt
from kubetasks.terminal import interruption, shell

ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}  # no questions, and output that can be parsed
INSTALL = ["install", "--no-install-recommends"]
# remove automatically installed packages that none depends on, even if one recommends or suggests them
AUTOREMOVE = ["-oAPT::AutoRemove::RecommendsImportant=false", "-oAPT::AutoRemove::SuggestsImportant=false", "autoremove"]


def possible() -> bool:
    """Return whether this is Debian or a derivative, and we are root."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(names: list[str], cache: Path, log: Path, if_known: Sequence[str] = ()) -> None:
    """Install `names`, and the packages in `if_known` that this release has; record new packages, including dependencies.

    Raises ProgramError if apt fails; SetupError, before any change, if it does not know one of `names` or would remove a package.
    """
    before = _installed()
    if set(names) <= before:
        return
    shell.run(["apt-get", "update", "--quiet"], env=ENVIRONMENT, log=log)
    known = _known([*names, *if_known])
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SetupError(f"apt has no package {' and no package '.join(unknown)}.", f"apt-cache policy {' '.join(unknown)}")
    wanted = [*names, *(name for name in if_known if name in known)]
    planned, removed = _simulate([*INSTALL, *wanted])
    if removed:
        raise SetupError(
            f"Installing {' '.join(names)} would remove packages that setup did not install: {', '.join(sorted(removed))}.",
            f"To accept that, install them yourself: {shell.line(['apt-get', *INSTALL, *wanted])}",
        )
    try:
        shell.run(["apt-get", *INSTALL, "--quiet", "--yes", "--no-remove", *wanted], env=ENVIRONMENT, log=log)
    finally:
        with interruption.cleaning(), receipt.changed(cache) as made:
            made.packages = sorted({*made.packages, *(_installed() & planned - before)})


def removable(names: list[str]) -> tuple[list[str], list[str]]:
    """Return the packages in `names` (from setup) that no other package depends on, and the others that are still installed.

    apt simulates an autoremove for which only these packages are marked as automatically installed.
    """
    there = _installed().intersection(names) if names else set()
    if not there:
        return [], []
    architecture = shell.run(["dpkg", "--print-architecture"]).strip()
    with tempfile.NamedTemporaryFile("w") as states:
        states.writelines(f"Package: {name}\nArchitecture: {architecture}\nAuto-Installed: 1\n\n" for name in there)
        states.flush()
        going = _simulate([f"-oDir::State::extended_states={states.name}", *AUTOREMOVE])[1]
    return sorted(going), sorted(there - going)


def remove(going: list[str], kept: list[str], log: Path) -> None:
    """Purge the packages in `going`, and leave those in `kept` to a later autoremove. Raises ProgramError."""
    if kept:
        shell.run(["apt-mark", "auto", *kept], env=ENVIRONMENT, log=log)
    if going:
        shell.run(["apt-get", "purge", "--quiet", "--yes", *going], env=ENVIRONMENT, log=log)


def _installed() -> set[str]:
    # a package that another apt is just unpacking counts as installed, so that setup does not remove it later
    listing = shell.run(["dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}\t${Package}\n"])
    return {line.split("\t")[1] for line in listing.splitlines() if line[1] not in "nc"}


def _known(names: list[str]) -> set[str]:
    """Return the packages in `names` that apt could install."""
    policy = shell.run(["apt-cache", "policy", *names], env=ENVIRONMENT)
    found = re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)$", policy, re.MULTILINE)
    return {name for name, candidate in found if candidate != "(none)"}


def _simulate(argv: list[str]) -> tuple[set[str], set[str]]:
    """Return the packages that apt-get would install or upgrade, and the packages that it would remove."""
    output = shell.run(["apt-get", "--simulate", *argv], env=ENVIRONMENT)
    planned, removed = (set(re.findall(rf"^(?:{word}) (\S+)", output, re.MULTILINE)) for word in ("Inst", "Remv|Purg"))
    return planned, removed
