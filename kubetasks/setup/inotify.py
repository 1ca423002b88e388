"""Linux's limit of inotify instances, which all nodes of an engine share: they are processes of one user, root."""

from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
LIMIT = "sys/fs/inotify/max_user_instances"
ROOT = 0
LEAST = 8  # what a node's kubelet alone needs


def used_up(proc: Path = PROC, user: int = ROOT) -> bool:
    """Whether the user has no room for another node. False if that cannot be seen: only root sees what its processes have."""
    with suppress(OSError, ValueError):
        limit = int((proc / LIMIT).read_text())
        return limit - sum(_instances(process, user) for process in proc.glob("[0-9]*")) < LEAST
    return False


def _instances(process: Path, user: int) -> int:
    found = 0
    with suppress(OSError):  # it has ended, or is somebody else's
        if process.stat().st_uid != user:
            return 0
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                found += str(descriptor.readlink()) == "anon_inode:inotify"
    return found
