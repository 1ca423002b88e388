"""A user of this machine who is not root, and may use the engine's socket."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hostengine.engine import SOCKET

ROOTS = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "GOCACHE", "GOMODCACHE", "KUBECACHEDIR")


@dataclass(frozen=True)
class Person:
    """A user; `home` is the only folder that belongs to them."""

    name: str
    home: Path

    @property
    def words(self) -> list[str]:
        """The words before a command that run it as this user."""
        return ["setpriv", f"--reuid={self.name}", f"--regid={self.name}", "--init-groups", "--no-new-privs"]

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return these variables for this user, without those that point to root's folders."""
        kept = {name: value for name, value in given.items() if name not in ROOTS}
        path = [one for one in given["PATH"].split(os.pathsep) if not Path(one).is_relative_to(Path.home())]
        return {**kept, "HOME": str(self.home), "USER": self.name, "PATH": os.pathsep.join(path)}

    def owns(self, folder: Path) -> None:
        """Make the user the owner of a folder and everything in it."""
        subprocess.run(["chown", "--recursive", f"{self.name}:", str(folder)], check=True)


def can_be_made() -> bool:
    """Return whether this process is root and has the programs to create a user."""
    return os.geteuid() == 0 and all(map(shutil.which, ("useradd", "userdel", "setpriv")))


@contextmanager
def made() -> Iterator[Person]:
    """Create a user in the group of the engine's socket; at the end, delete the user and the home folder."""
    name = f"person-{secrets.token_hex(3)}"
    home = Path("/tmp") / name
    words = [f"--groups={SOCKET.stat().st_gid}", "--create-home", f"--home-dir={home}", "--shell=/bin/sh"]
    subprocess.run(["useradd", *words, name], check=True)
    try:
        home.chmod(0o755)
        yield Person(name, home)
    finally:
        subprocess.run(["userdel", "--force", "--remove", name], check=True)
        shutil.rmtree(Path("/tmp") / f"pytest-of-{name}", ignore_errors=True)  # if the user ran pytest
