"""A person of this machine who is not root, and may use the engine's socket."""

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
    """`home` is the only folder that is theirs."""

    name: str
    home: Path

    @property
    def words(self) -> list[str]:
        """What comes before a command that this person runs."""
        return ["setpriv", f"--reuid={self.name}", f"--regid={self.name}", "--init-groups", "--no-new-privs"]

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """These variables, without those that lead to root's folders."""
        kept = {name: value for name, value in given.items() if name not in ROOTS}
        path = [one for one in given["PATH"].split(os.pathsep) if not Path(one).is_relative_to(Path.home())]
        return {**kept, "HOME": str(self.home), "USER": self.name, "PATH": os.pathsep.join(path)}

    def owns(self, folder: Path) -> None:
        """Give them a folder with all that is in it."""
        subprocess.run(["chown", "--recursive", f"{self.name}:", str(folder)], check=True)


def can_be_made() -> bool:
    """Whether this is root on a machine with the programs for that."""
    return os.geteuid() == 0 and all(map(shutil.which, ("useradd", "userdel", "setpriv")))


@contextmanager
def made() -> Iterator[Person]:
    """Make a person in the group of the engine's socket, and remove them with their home."""
    name = f"person-{secrets.token_hex(3)}"
    home = Path("/tmp") / name
    words = [f"--groups={SOCKET.stat().st_gid}", "--create-home", f"--home-dir={home}", "--shell=/bin/sh"]
    subprocess.run(["useradd", *words, name], check=True)
    try:
        home.chmod(0o755)
        yield Person(name, home)
    finally:
        subprocess.run(["userdel", "--force", "--remove", name], check=True)
        shutil.rmtree(Path("/tmp") / f"pytest-of-{name}", ignore_errors=True)  # if they have run it
