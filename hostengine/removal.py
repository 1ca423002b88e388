"""Remove what setup installed, including the engine."""

import os
import shutil
from pathlib import Path

from hostengine import engine as machine_engine
from hostengine import packages
from kubetasks.engine import access, client
from kubetasks.engine.client import Engine
from kubetasks.errors import EngineError, SetupError, TaskError
from kubetasks.project.settings import Settings
from kubetasks.project.words import INV, INVOKE
from kubetasks.setup import receipt
from kubetasks.setup.log import new_log
from kubetasks.setup.receipt import Receipt
from kubetasks.setup.removal import remove_images, require_no_clusters
from kubetasks.terminal.door import Door

WRITTEN_BY_ENGINES = ("key.json",)  # in /etc/docker
LISTED = 10  # the most objects that a message lists


def remove(settings: Settings, do: Door, socket: Path = machine_engine.SOCKET) -> list[str]:
    """Remove images, the engine that setup installed, and the cache folder. Return their names.

    `socket` is the local engine's, regardless of DOCKER_HOST and docker's context. All checks run before anything is removed.
    Raises ClusterError while a cluster of any project exists, EngineError if the engine does not answer, SetupError if the engine
    that setup installed holds objects that setup did not create, or cannot be queried or stopped.
    """
    if not settings.cache.exists():
        return []
    with receipt.locked(settings.cache, do.tell):
        log = new_log(settings.cache)
        ran = machine_engine.running(receipt.read(settings.cache))
        local = _local_engine(settings, do, socket, log)
        used = client.connect() if access.named() else local
        made = receipt.read(settings.cache)
        doomed = _doomed_folders(made)
        for found in filter(None, (used, local)):
            require_no_clusters(found)
        if local and doomed:
            _require_ours(local, socket, made, doomed)
            _require_stoppable(made)
        going, kept = packages.removable(made.packages)
        gone = remove_images(used, made, do) if used else []
        started_now = not ran and machine_engine.running(made)
        # a service that an earlier setup started is left to the user; a process uses files in the cache
        if (doomed or made.engine_pid or started_now) and machine_engine.stop_locked(settings.cache, do):
            gone.append("the engine that setup started")
        gone += _uninstall(going, kept, made, do, log)
        receipt.discard(settings.cache, do.say)
        return [*gone, str(settings.cache)]


def _doomed_folders(made: Receipt) -> list[Path]:
    """Return the existing folders to remove with the engine: those that setup recorded, and the one that a purge deletes."""
    purged = [machine_engine.DATA] if machine_engine.PACKAGE in made.packages else []
    return [folder for folder in map(Path, dict.fromkeys([*made.folders, *purged])) if folder.exists()]


def _local_engine(settings: Settings, do: Door, socket: Path, log: Path) -> Engine | None:
    """Return this machine's engine, or None if there is none; start it if it is stopped: only a running one lists its content.

    If DOCKER_HOST or docker's context names another engine, the local one matters only if its folders are to be removed; if they
    are, every error is a SetupError. Otherwise raises EngineError, SetupError, ProgramError.
    """
    doomed = _doomed_folders(receipt.read(settings.cache))
    if not doomed and access.named():
        return None
    if doomed and os.geteuid() != 0:
        raise SetupError("Only root can remove the engine that setup installed.", f"As root: {INV} setup --remove")
    try:
        found = machine_engine.local(socket)
        if not found and shutil.which("dockerd"):
            _start(settings, do, log)
            found = machine_engine.local(socket)
    except TaskError as error:
        raise _unasked(doomed, error.sentence) if doomed else error from error
    if doomed and not found:
        raise _unasked(doomed, f"None answers on {socket}.")
    return found


def _start(settings: Settings, do: Door, log: Path) -> None:
    if settings.engine == "refuse":
        raise EngineError(
            f"No container engine answers, and {INVOKE}_SETUP_ENGINE=refuse forbids starting one.",
            f"Start yours, or unset {INVOKE}_SETUP_ENGINE; then {INV} setup --remove",
        )
    machine_engine.start(settings.cache, do, log)


def _unasked(doomed: list[Path], reason: str) -> SetupError:
    folders = " ".join(map(str, doomed))
    return SetupError(
        f"The engine that setup installed cannot say whether {folders} holds anything else. {reason}",
        f"Start it, then {INV} setup --remove; or, if nothing in there is needed: rm -r {folders}",
    )


def _require_ours(found: Engine, socket: Path, made: Receipt, doomed: list[Path]) -> None:
    """Raise SetupError if the folders hold objects from outside setup, or belong to an engine other than `found`."""
    try:
        data = Path(found.info["DockerRootDir"])
    except TaskError as error:
        raise _unasked(doomed, error.sentence) from error
    if not any(data.is_relative_to(folder) for folder in doomed):
        raise _unasked(doomed, f"The one that answers on {socket} keeps its data in {data}.")
    others = found.others(made.pulled)
    for folder in doomed:
        if not data.is_relative_to(folder):
            others += [f"file {path}" for path in folder.rglob("*") if path.is_file() and path.name not in WRITTEN_BY_ENGINES]
    if others:
        more = f" and {len(others) - LISTED} more" if len(others) > LISTED else ""
        raise SetupError(
            f"The engine that setup installed has objects that setup did not create: {', '.join(others[:LISTED])}{more}.",
            f"In the folder of each application: kubetasks clean; what else is there: docker rm, docker rmi, docker volume rm;"
            f" then {INV} setup --remove; or keep the engine",
        )


def _require_stoppable(made: Receipt) -> None:
    if not machine_engine.running(made):
        raise SetupError(
            "The engine that setup installed is running, but setup did not start it.",
            f"Stop it (systemctl stop docker.socket docker, or kill $(cat /var/run/docker.pid)), then {INV} setup --remove",
        )


def _uninstall(going: list[str], kept: list[str], made: Receipt, do: Door, log: Path) -> list[str]:
    """Remove folders and packages; return the names of what was removed."""
    folders = [folder for folder in made.folders if Path(folder).exists()]
    for folder in folders:
        machine_engine.remove_folder(Path(folder), log)
    if kept:
        do.say(f"Kept packages that others need: {', '.join(kept)}.")
    if going or kept:
        with do.step("Removing the packages that setup installed"):
            packages.remove(going, kept, log)
    return [*going, *folders]
