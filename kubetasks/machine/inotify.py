"""Linux's limit of inotify instances, which all nodes of an engine share: they are processes of one user, root."""

from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
LIMIT = "sys/fs/inotify/max_user_instances"
LEAST = 8  # what a node's kubelet alone needs


def used_up(proc: Path = PROC) -> bool:
    """Whether there is no room for another node. False if that cannot be seen: only root sees what its processes have."""
    with suppress(OSError, ValueError):
        limit = int((proc / LIMIT).read_text())
        return limit - sum(_instances(process) for process in proc.glob("[0-9]*")) < LEAST
    return False


def _instances(process: Path) -> int:
    found = 0
    with suppress(OSError):  # it has ended, or is somebody else's
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                found += str(descriptor.readlink()) == "anon_inode:inotify"
    return found
