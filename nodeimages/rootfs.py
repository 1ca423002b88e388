"""Create Debian file systems with mmdebstrap: needs root and Debian's packages, no container engine."""

import shutil
from pathlib import Path

from kubetasks.project.versions import DEBIAN
from kubetasks.terminal import shell

UNREAD = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/lintian/*")


def make(folder: Path, packages: list[str], *, log: Path, debian: str = DEBIAN) -> None:
    """Create a root file system in `folder`: the release's essential packages and `packages`, without documentation.

    Raises ProgramError; then `folder` is removed.
    """
    try:
        shell.run(
            [
                "mmdebstrap",
                "--variant=essential",
                f"--include={','.join(packages)}",
                *(f"--dpkgopt=path-exclude={pattern}" for pattern in UNREAD),
                # a mirror of a moving release may be weeks old; signatures are still checked
                '--aptopt=Acquire::Check-Valid-Until "false"',
                debian,
                str(folder),
            ],
            log=log,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for leftover in ("var/lib/apt/lists", "var/cache/apt", "var/log", "var/cache/debconf", "tmp"):
        shutil.rmtree(folder / leftover, ignore_errors=True)
        (folder / leftover).mkdir(mode=0o1777 if leftover == "tmp" else 0o755)
    (folder / "tmp").chmod(0o1777)
