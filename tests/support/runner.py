"""A machine as near to GitHub's ubuntu-24.04 as one can be had here: a root file system of Debian packages, on this kernel.

Its user is not root, but has sudo and the engine's socket. Programs in a chroot may not create user namespaces, as with AppArmor
there. The tool cache has several Pythons: 3.14 and 3.15 are Debian sid's, 3.11 is bookworm's.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hostengine import packages
from hostengine.engine import SOCKET
from kubetasks.terminal import shell
from nodeimages import build, rootfs

USER = "runner"
ID = 1001  # as there
PACKAGES = "ca-certificates chromium curl docker-buildx docker-cli git iproute2 passwd python3-venv python3.15-venv sudo".split()
TOOL_CACHE = "opt/hostedtoolcache/Python"  # as there
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# FIND_LINKS names a folder, which the machine lacks
REGISTRIES = re.compile("(PIP|UV|SSL|CURL|REQUESTS|GIT_SSL)_(?!FIND_LINKS).*|GO(PROXY|SUMDB|NOSUMDB)|.*_PROXY", re.IGNORECASE)
# The mounts end with the program. /tmp is shared, so that the engine finds there what a test mounts into a container.
ENTER = """\
root=$1 socket=$2 id=$3 folder=$4
shift 4
for name in dev proc sys; do mount --rbind "/$name" "$root/$name"; done
mount --bind /tmp "$root/tmp"
touch "$root$socket"
mount --bind "$socket" "$root$socket"
exec chroot --userspec="$id:$id" --groups=docker,sudo "$root" env --chdir="$folder" "$@"
"""


@dataclass(frozen=True)
class Machine:
    """`home` has the same path inside and outside."""

    root: Path
    home: Path

    def words(self, folder: Path) -> list[str]:
        """Return the words before a command that run it as the user, in a folder below /tmp."""
        enter = ["unshare", "--mount", "--propagation=slave", "sh", "-ec", ENTER, "sh"]
        return [*enter, str(self.root), str(SOCKET.resolve()), str(ID), str(folder)]

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the user's variables: few, those for registries and proxies, and the given ones."""
        kept = {name: value for name, value in os.environ.items() if REGISTRIES.fullmatch(name)}
        return {**kept, **given, "HOME": str(self.home), "USER": USER, "PATH": PATH, "LANG": "C.UTF-8"}

    def owns(self, folder: Path) -> None:
        """Make the user the owner of a folder and everything in it."""
        shell.run(["chown", "--recursive", f"{ID}:{ID}", str(folder)])

    def run(self, argv: list[str], folder: Path, given: Mapping[str, str], timeout: float) -> int:
        """Run a program as the user, who first becomes the owner of the home folder, and return its exit code."""
        self.owns(self.home)
        return subprocess.run([*self.words(folder), *argv], env=self.environment(given), timeout=timeout, check=False).returncode


def possible() -> bool:
    """Return whether this machine can create one."""
    return packages.possible()


@contextmanager
def machine(cache: Path, log: Path) -> Iterator[Machine]:
    """Create a machine with an empty home folder, and remove it at the end."""
    packages.install(build.PACKAGES, cache, log)
    with tempfile.TemporaryDirectory(prefix="runner-", dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        root, home = folder / "root", folder / "home"
        rootfs.make(root, PACKAGES, log=log, debian="sid")
        home.mkdir()
        for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/hosts", "/etc/resolv.conf"):
            shutil.copyfile(path, root / path[1:])
        if kubectl := shutil.which("kubectl"):  # GitHub's machine has one
            shutil.copy(kubectl, root / "usr/local/bin")
        (sudoers := root / "etc/sudoers.d" / USER).write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
        sudoers.chmod(0o440)
        for command in (
            ["groupadd", f"--gid={SOCKET.stat().st_gid}", "--non-unique", "docker"],
            ["useradd", f"--uid={ID}", "--groups=docker,sudo", f"--home-dir={home}", "--shell=/bin/bash", USER],
        ):
            shell.run(["chroot", str(root), *command], log=log)
        _fill_tool_cache(made := Machine(root, home), folder / "bookworm", log)
        yield made


def _fill_tool_cache(made: Machine, bookworm: Path, log: Path) -> None:
    """Install Pythons where setup-python has them; as virtual environments, so that pip may install packages in them."""
    for minor in ("3.14", "3.15"):
        shell.run(["chroot", str(made.root), f"python{minor}", "-m", "venv", f"/{TOOL_CACHE}/{minor}/x64"], log=log)
        made.owns(made.root / TOOL_CACHE / minor)
    rootfs.make(bookworm, ["python3"], log=log, debian="bookworm")
    oldest = made.root / TOOL_CACHE / "3.11" / "x64"
    for name in ("bin/python3.11", "lib/python3.11"):
        (oldest / name).parent.mkdir(parents=True, exist_ok=True)
        (bookworm / "usr" / name).rename(oldest / name)
    (oldest / "bin" / "python3").symlink_to("python3.11")  # which of several is first on PATH matters
