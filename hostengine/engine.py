"""This machine's container engine: install Debian's if there is none, start it if nothing else does, and stop it."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from hostengine import limited_runc, packages
from kubetasks.engine import client
from kubetasks.engine.client import AbsentError, Engine
from kubetasks.errors import EngineError, SetupError
from kubetasks.project.settings import Settings
from kubetasks.project.words import INV, INVOKE
from kubetasks.setup import receipt
from kubetasks.terminal import shell, wait
from kubetasks.terminal.door import Door

PACKAGE = "docker.io"
PACKAGES = [PACKAGE, "iptables", "ca-certificates"]
SINCE_DEBIAN_13 = ["docker-cli"]  # in earlier releases the CLI is part of docker.io
SOCKET = Path("/var/run/docker.sock")
PID_FILES = (Path("/var/run/docker.pid"), Path("/var/run/docker/containerd/containerd.pid"))
DATA = "/var/lib/docker"
FOLDERS = (DATA, "/etc/docker")  # created by an engine, and left when its packages are removed
SYSTEMD = Path("/run/systemd/system")  # exists if systemd is the init system: sd_booted(3)
UNIT = "docker.service"
STARTED = "sudo systemctl start docker; and, once: sudo usermod -aG docker $USER"
START_SECONDS = 60
STOP_SECONDS = 60
START_ATTEMPTS = 3
LIMITED = "limited-runc"
CAREFUL_SINCE = 23  # since this release, Docker requests only capabilities that it has


def local(socket: Path = SOCKET) -> Engine | None:
    """Return this machine's engine, or None if none answers. Raises EngineError if it denies access or is too old."""
    if not socket.is_socket():
        return None
    try:
        return client.connect(variables={"DOCKER_HOST": f"unix://{socket}"})
    except AbsentError:
        return None


def lacking() -> list[str]:
    """Return the capabilities that this process, as root, lacks; an engine before CAREFUL_SINCE would fail because of them."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    return limited_runc.lacking(Path("/proc/self/status").read_text(), last)


def ensure(settings: Settings, do: Door, log: Path) -> None:
    """Install an engine if needed, and start it; call only if none answers. Raises EngineError, SetupError, ProgramError."""
    if settings.engine == "refuse":
        raise EngineError(
            f"No container engine answers, and {INVOKE}_SETUP_ENGINE=refuse forbids installing one.",
            f"Start yours, or unset {INVOKE}_SETUP_ENGINE",
        )
    if not packages.possible() and shutil.which("dockerd"):
        raise EngineError("No container engine answers, and only root can start the one that is installed.", STARTED)
    if not packages.possible():
        raise EngineError(
            "No container engine answers, and only root on Debian or Ubuntu can install one here.",
            "sudo apt-get install docker.io && sudo usermod -aG docker $USER; elsewhere: https://docs.docker.com/engine/install/",
        )
    if shutil.which("dockerd") is None:
        do.say(f"No container engine: installing Debian's docker.io with apt ({INVOKE}_SETUP_ENGINE=refuse forbids it).")
        with do.step("Installing the container engine"):
            _install(settings.cache, log)
    start(settings.cache, do, log)


def _install(cache: Path, log: Path) -> None:
    """Install Debian's engine; first record the folders that it will create, or an interruption would lose them."""
    fresh = [folder for folder in FOLDERS if not Path(folder).exists()]
    with receipt.changed(cache) as made:
        made.folders = sorted({*made.folders, *fresh})
    packages.install(PACKAGES, cache, log, if_known=SINCE_DEBIAN_13)


def start(cache: Path, do: Door, log: Path) -> None:
    """Start the installed engine, and record how to stop it. Raises SetupError, ProgramError."""
    import tenacity

    with do.step("Starting the container engine"):
        if SYSTEMD.exists():
            shell.run(["systemctl", "start", UNIT], log=log)
            with receipt.changed(cache) as made:
                made.engine_unit, made.engine_pid = UNIT, 0
            return
        # containers that outlived a killed engine can prevent the first new one from starting
        for attempt in tenacity.Retrying(stop=tenacity.stop_after_attempt(START_ATTEMPTS), reraise=True):
            with attempt:
                _start_process(cache)


def _start_process(cache: Path) -> None:
    """Start dockerd in a session of its own, detached from our terminal and pipes. Raises SetupError."""
    _remove_stale_pid_files()
    folder = cache / "engine"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "dockerd.log"
    with log.open("ab") as sink:
        daemon = subprocess.Popen(
            ["dockerd", *_runtime_options(folder)],
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            cwd="/",
        )
    with receipt.changed(cache) as made:
        made.engine_unit, made.engine_pid = "", daemon.pid

    def check() -> wait.State:
        if daemon.poll() is not None:
            return wait.Failed(f"dockerd ended with {daemon.returncode}")
        return wait.Done() if local() else wait.Pending("starting")

    end = wait.until(check, timeout=START_SECONDS)
    if not isinstance(end, wait.Done):
        daemon.terminate()
        try:
            daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()
        tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-8:])
        raise SetupError(f"The container engine did not start:\n  {tail}", f"Full log: {log}")


def _runtime_options(folder: Path) -> list[str]:
    """Return the options that make an older engine work on a machine that lacks a capability, or [] if none are needed."""
    found = re.search(r"version (\d+)", shell.run(["dockerd", "--version"]))
    if not lacking() or not found or int(found.group(1)) >= CAREFUL_SINCE:
        return []
    program = folder / "limited_runc.py"
    shutil.copy(limited_runc.__file__, program)
    wrapper = folder / LIMITED
    python = os.path.realpath(sys.executable)  # not .venv's, which the engine may outlive
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join([python, "-I", "-S", str(program)])} "$@"\n')
    wrapper.chmod(0o755)
    return [f"--add-runtime={LIMITED}={wrapper}", f"--default-runtime={LIMITED}"]


def _remove_stale_pid_files() -> None:
    """Remove the PID files of a killed engine: a new one refuses to start if another process now has that PID."""
    for path in PID_FILES:
        with contextlib.suppress(OSError, ValueError):
            if not _runs(int(path.read_text()), ("dockerd", "containerd")):
                path.unlink()


def _runs(pid: int, names: tuple[str, ...] = ("dockerd",)) -> bool:
    """Return whether `pid` is a process of one of these programs, and not a zombie."""
    with contextlib.suppress(OSError):
        status = Path(f"/proc/{pid}/status").read_text()
        name, state = re.findall(r"^(?:Name|State):\t(\S+)", status, re.MULTILINE)
        return name in names and state != "Z"
    return False


def running(made: receipt.Receipt) -> bool:
    """Return whether the engine that setup started is running."""
    if made.engine_unit:
        return _unit(made.engine_unit)["ActiveState"] == "active"
    return bool(made.engine_pid) and _runs(made.engine_pid)


def stop(cache: Path, do: Door) -> bool:
    """Stop the engine that setup started; return False if it was not running. Raises SetupError, ProgramError."""
    if not cache.exists():
        return False
    with receipt.locked(cache, do.tell):
        return stop_locked(cache, do)


def stop_locked(cache: Path, do: Door) -> bool:
    """Like `stop`, for a caller that holds the lock."""
    made = receipt.read(cache)
    found = running(made)
    if found:
        with do.step("Stopping the container engine"):
            _stop_unit(made.engine_unit) if made.engine_unit else _stop_process(made.engine_pid)
    if made.engine_pid or made.engine_unit:
        made.engine_pid, made.engine_unit = 0, ""
        receipt.write(cache, made)
    return found


def _stop_unit(unit: str) -> None:
    # with its socket unit, or the next request would start it again
    shell.run(["systemctl", "stop", *_unit(unit)["TriggeredBy"].split(), unit])


def _unit(name: str) -> dict[str, str]:
    """Return the state of a systemd unit, and the units that trigger it."""
    output = shell.run(["systemctl", "show", "--property=ActiveState,TriggeredBy", name])
    return {"ActiveState": "", "TriggeredBy": "", **dict(line.split("=", 1) for line in output.splitlines())}


def _stop_process(pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    wait.until_done(
        lambda: wait.Pending("still running") if _runs(pid) else wait.Done(),
        SetupError,
        f"The container engine (process {pid}) did not stop",
        f"{INV} setup --stop",
        timeout=STOP_SECONDS,
        pause=0.1,
    )


def remove_folder(folder: Path, log: Path) -> None:
    """Remove a folder of an engine that is not running. Raises SetupError, ProgramError."""
    # a killed engine leaves its mounts, which can include the folder itself
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted(mounts, reverse=True):
        if Path(mount).is_relative_to(folder):
            shell.run(["umount", mount], log=log)
    if folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise SetupError(f"{folder} could not be removed: {error}", f"rm -r {folder}") from error
