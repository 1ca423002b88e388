"""A container engine on a machine that has none: Debian's, started by us where nothing else starts it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from kubetasks import engine, shell, wait
from kubetasks.errors import EngineError, SetupError
from kubetasks.machine import limited_runc, packages, receipt
from kubetasks.report import Report
from kubetasks.settings import Settings

PACKAGES = ["docker.io", "docker-cli", "iptables", "ca-certificates"]
PID_FILES = (Path("/var/run/docker.pid"), Path("/var/run/docker/containerd/containerd.pid"))
FOLDERS = ("/var/lib/docker", "/etc/docker")  # what an engine makes and its packages leave
SYSTEMD = Path("/run/systemd/system")  # is there where systemd runs: sd_booted(3)
START_SECONDS = 60
ANSWER_SECONDS = 10
START_ATTEMPTS = 3
LIMITED = "limited-runc"
CAREFUL_SINCE = 23  # from this release on Docker asks only for capabilities that it has


def release() -> str | None:
    """The release of the engine that answers, or None. Raises EngineError where one answers that we may not use."""
    try:
        return engine.connect(timeout=ANSWER_SECONDS).version()
    except EngineError as error:
        if "may not" in error.sentence:
            raise
        return None


def lacking() -> list[str]:
    """The capabilities that this machine's root lacks, and that an older engine would stumble over."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    return limited_runc.lacking(Path("/proc/self/status").read_text(), last)


def ensure(settings: Settings, report: Report, log: Path) -> None:
    """Install and start an engine; only called where none answers. Raises EngineError, SetupError."""
    import tenacity

    if settings.engine == "refuse":
        raise EngineError(
            "No container engine answers, and INVOKE_SETUP_ENGINE=refuse forbids to install one.",
            "Start yours, or unset INVOKE_SETUP_ENGINE",
        )
    if os.environ.get("DOCKER_HOST"):
        raise EngineError(
            f"The engine that DOCKER_HOST names does not answer: {os.environ['DOCKER_HOST']}",
            "Start it, or unset DOCKER_HOST for one on this machine",
        )
    if not packages.possible():
        raise EngineError(
            "No container engine answers, and only root on Debian or Ubuntu can install one here.",
            "sudo apt-get install docker.io && sudo usermod -aG docker $USER; elsewhere: https://docs.docker.com/engine/install/",
        )
    if shutil.which("dockerd") is None:
        report.say("No container engine: installing Debian's docker.io with apt (INVOKE_SETUP_ENGINE=refuse forbids it).")
        fresh = [folder for folder in FOLDERS if not Path(folder).exists()]
        with report.step("Installing the container engine"):
            packages.install(PACKAGES, settings.cache, log)
        made = receipt.read(settings.cache)
        made.folders = fresh
        receipt.write(settings.cache, made)
    with report.step("Starting the container engine"):
        if SYSTEMD.exists():
            shell.run(["systemctl", "start", "docker"], log=log)
        else:
            # containers that outlived a killed engine can keep the first new one from coming up
            for attempt in tenacity.Retrying(stop=tenacity.stop_after_attempt(START_ATTEMPTS), reraise=True):
                with attempt:
                    _start(settings.cache)


def _start(cache: Path) -> None:
    """Start dockerd on its own: no terminal, no pipe of ours held open. Raises SetupError."""
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
    made = receipt.read(cache)
    made.engine_pid = daemon.pid
    receipt.write(cache, made)

    def check() -> wait.State:
        if daemon.poll() is not None:
            return wait.Failed(f"dockerd ended with {daemon.returncode}")
        return wait.Done() if release() else wait.Pending("starting")

    end = wait.until(check, timeout=START_SECONDS, longest_pause=0.2)
    if not isinstance(end, wait.Done):
        tail = "\n  ".join(log.read_text(errors="replace").splitlines()[-8:])
        raise SetupError(f"The container engine did not start:\n  {tail}", f"The whole log: {log}")


def _runtime_options(folder: Path) -> list[str]:
    """What an older engine needs on a machine that lacks a capability; nothing elsewhere."""
    found = re.search(r"version (\d+)", shell.run(["dockerd", "--version"]))
    if not lacking() or not found or int(found.group(1)) >= CAREFUL_SINCE:
        return []
    program = folder / "limited_runc.py"
    shutil.copy(limited_runc.__file__, program)
    wrapper = folder / LIMITED
    python = os.path.realpath(sys.executable)  # not the one of .venv: the engine outlives it
    wrapper.write_text(f'#!/bin/sh\nexec {python} -I -S {program} "$@"\n')
    wrapper.chmod(0o755)
    return [f"--add-runtime={LIMITED}={wrapper}", f"--default-runtime={LIMITED}"]


def _remove_stale_pid_files() -> None:
    """An engine that was killed leaves them, and a new one refuses where their number lives on in another process."""
    for path in PID_FILES:
        with contextlib.suppress(OSError, ValueError):
            if not _is(int(path.read_text()), ("dockerd", "containerd")):
                path.unlink()


def _is(pid: int, names: tuple[str, ...]) -> bool:
    """Whether `pid` is a process of one of those programs."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip() in names
    return False


def stop(cache: Path, report: Report) -> bool:
    """Stop the engine that we started; False where we started none or it does not run."""
    made = receipt.read(cache)
    running = made.engine_pid and _is(made.engine_pid, ("dockerd",))
    if running:
        pid = made.engine_pid
        with report.step("Stopping the container engine"):
            os.kill(pid, signal.SIGTERM)
            end = wait.until(
                lambda: wait.Pending("stopping") if _is(pid, ("dockerd",)) else wait.Done(),
                timeout=60,
                longest_pause=0.1,
            )
        if not isinstance(end, wait.Done):
            raise SetupError(f"The container engine (process {pid}) did not stop in a minute.", "./inv setup --stop")
    if made.engine_pid:
        made.engine_pid = 0
        receipt.write(cache, made)
    return bool(running)


def uninstall(cache: Path, report: Report, log: Path) -> list[str]:
    """Take away the packages that we installed and the folders that came with them; returns what went. Raises SetupError."""
    made = receipt.read(cache)
    if made.packages:
        with report.step("Removing the packages that setup installed"):
            packages.remove(made.packages, log)
    for folder in made.folders:
        _remove_folder(Path(folder), log)
    receipt.write(cache, receipt.Receipt())
    return [*made.packages, *made.folders]


def _remove_folder(folder: Path, log: Path) -> None:
    # an engine that was killed leaves its mounts, the folder itself among them
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted(mounts, reverse=True):
        if Path(mount).is_relative_to(folder):
            shell.run(["umount", mount], log=log)
    if folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise SetupError(f"{folder} could not be removed: {error}", f"rm -r {folder}") from error
