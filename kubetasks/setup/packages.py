"""Debian's packages, installed and removed with apt, never at the cost of packages that setup did not install."""

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubetasks.errors import SetupError
from kubetasks.setup import receipt
from kubetasks.terminal import shell

ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}  # no questions, and output that can be parsed
FIELDS = "${db:Status-Abbrev}\t${Package}\t${Pre-Depends}, ${Depends}\t${Provides}\n"
INSTALL = ["install", "--no-install-recommends"]


@dataclass(frozen=True)
class Package:
    """An installed package. `names` are its own and those it provides; each of `needs` is satisfied by any one of its names."""

    name: str
    names: frozenset[str]
    requirements: tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Removal:
    """`going`: packages to remove; `kept`: those that packages of others depend on, each with one of these."""

    going: list[str]
    kept: dict[str, str]


def possible() -> bool:
    """Whether this is Debian or one of its derivatives, and we are root."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def parse(listing: str) -> list[Package]:
    """Read what dpkg-query prints for FIELDS, without removed packages that left their configuration."""
    rows = [line.split("\t") for line in listing.splitlines()]
    # one that another apt is unpacking at this moment counts: it is not ours to remove later
    return [
        Package(name, frozenset({name}).union(*_clauses(provides)), _clauses(needs))
        for state, name, needs, provides in rows
        if state[1] not in "nc"
    ]


def _clauses(field: str) -> tuple[frozenset[str], ...]:
    """The names in `a (>= 1), b:any | c`, without versions and architectures: ({a}, {b, c})."""
    clauses = [[re.split(r"[\s:(]", name.strip())[0] for name in clause.split("|")] for clause in field.split(",")]
    return tuple(frozenset(clause) for clause in clauses if clause != [""])


def needed(installed: Iterable[Package], ours: set[str]) -> dict[str, str]:
    """Which of `ours` packages of others depend on, directly or through another; each with the package that does."""
    open_ = [package for package in installed if package.name not in ours]
    available = {name for package in open_ for name in package.names}
    kept: dict[str, str] = {}
    while open_:
        package = open_.pop()
        for names in package.requirements:
            if not names & available:
                found = [other for other in installed if other.name in ours and other.names & names]
                kept |= {other.name: package.name for other in found}
                available |= {name for other in found for name in other.names}
                open_ += found
    return kept


def install(names: list[str], cache: Path, log: Path, if_known: Sequence[str] = ()) -> None:
    """Install `names`, and those of `if_known` that this release has; record what is new, dependencies too.

    Raises ProgramError if apt fails, and SetupError if apt does not know a name or would remove a package: nothing is changed.
    """
    before = {package.name for package in _installed()}
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
        fresh = {package.name for package in _installed()} & planned - before
        with receipt.changed(cache) as made:
            made.packages = sorted({*made.packages, *fresh})


def plan_removal(names: list[str]) -> Removal:
    """Decide which of `names` can be removed. Raises SetupError if apt would change other packages too."""
    if not names:
        return Removal([], {})
    installed = _installed()
    present = {package.name for package in installed} & set(names)
    kept = needed(installed, present)
    going = sorted(present - kept.keys())
    if going:
        planned, removed = _simulate(["purge", *going])
        others = (planned | removed) - set(going)
        if others:
            raise SetupError(
                f"Removing the packages that setup installed would change others too: {', '.join(sorted(others))}.",
                f"To accept that, remove them yourself: {shell.line(['apt-get', 'purge', *going])}",
            )
    return Removal(going, kept)


def remove(removal: Removal, log: Path) -> None:
    """Remove packages with their configuration; leave those that are kept to apt's autoremove. Raises ProgramError."""
    if removal.kept:
        shell.run(["apt-mark", "auto", *sorted(removal.kept)], env=ENVIRONMENT, log=log)
    if removal.going:
        shell.run(["apt-get", "purge", "--quiet", "--yes", *removal.going], env=ENVIRONMENT, log=log)


def _installed() -> list[Package]:
    return parse(shell.run(["dpkg-query", "--show", "--showformat", FIELDS]))


def _known(names: list[str]) -> set[str]:
    """Those of `names` that apt could install."""
    policy = shell.run(["apt-cache", "policy", *names], env=ENVIRONMENT)
    found = re.findall(r"^(\S+):\n  Installed: .*\n  Candidate: (.*)$", policy, re.MULTILINE)
    return {name for name, candidate in found if candidate != "(none)"}


def _simulate(argv: list[str]) -> tuple[set[str], set[str]]:
    """The packages that apt-get would install or upgrade, and those that it would remove."""
    output = shell.run(["apt-get", "--simulate", *argv], env=ENVIRONMENT)
    planned, removed = (set(re.findall(rf"^(?:{word}) (\S+)", output, re.MULTILINE)) for word in ("Inst", "Remv|Purg"))
    return planned, removed
