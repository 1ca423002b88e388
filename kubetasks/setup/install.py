"""Install what this machine lacks: pulled and downloaded as pinned, or built if no image registry can be reached."""

import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

from kubetasks.engine import access, client
from kubetasks.engine.client import Engine
from kubetasks.errors import EngineError, SetupError
from kubetasks.project.settings import Settings
from kubetasks.setup import downloads, inventory, receipt, requirements
from kubetasks.setup.log import new_log
from kubetasks.setup.requirements import File, Requirement
from kubetasks.terminal.report import Report, duration

Source = Literal["pull", "build"]
UNSET = "Unset INVOKE_SETUP_IMAGES"
CONNECT = "Connect to an image registry"
CLONE = "with a clone of its repository, which has the builder: pip install --editable FOLDER"


def install(settings: Settings, report: Report, needed: Sequence[Requirement]) -> bool:
    """Install whatever is missing; True if anything was. Raises SetupError, EngineError, ProgramError."""
    if not inventory.missing(settings, needed):
        return False
    with receipt.locked(settings.cache, report):
        if inventory.missing(settings, needed):
            _install(settings, report, needed)
    return True


def source(settings: Settings) -> Source:
    """Pull, unless the settings say build or no registry answers: a network hiccup must not compile Kubernetes."""
    if settings.images == "pull" or settings.images == "build":
        return settings.images  # type: ignore[return-value]  # mypy does not narrow a str to the two literals
    return "pull" if any(downloads.reached(url) for url in downloads.REGISTRIES) else "build"


def _install(settings: Settings, report: Report, needed: Sequence[Requirement]) -> None:
    started = time.monotonic()
    if access.named():
        client.connect()  # which says why an engine that somebody has chosen does not answer
    log = new_log(settings)
    report.say(f"Full log: {log}")
    if source(settings) == "pull":
        _start_engine(settings, report, log)
        _download(client.connect(), settings, report, log, inventory.with_base(settings, needed))
    else:
        _build(settings, report, log, inventory.with_base(settings, needed))
    left = inventory.missing(settings, needed)
    if left:
        raise SetupError(f"After setup this is still missing: {', '.join(left)}.", f"The log may say why: {log}")
    report.say(f"Set up in {duration(time.monotonic() - started)}.")


def _build(settings: Settings, report: Report, log: Path, needed: Sequence[Requirement]) -> None:
    if shutil.which("dockerd"):
        _start_engine(settings, report, log)  # an engine that was stopped may have the images
    found = client.connect() if client.release() else None
    missing = [need for need in needed if not need.find(found, settings).present]
    if not missing:
        return
    if found and settings.images != "build" and all(isinstance(need, File) for need in missing):
        _download(found, settings, report, log, missing)  # files need no image registry
        return
    require_buildable(settings, missing)
    if settings.images == "build":
        report.say("INVOKE_SETUP_IMAGES=build: building the images from package registries (one time, a few minutes).")
    else:
        report.say("No image registry is reachable: building the images from package registries (one time, a few minutes).")
    _run_build(settings, report, log, missing)


def _download(found: Engine, settings: Settings, report: Report, log: Path, needed: Sequence[Requirement]) -> None:
    """Pull images and download files; build the files if they cannot be downloaded. Raises SetupError, EngineError."""
    try:
        downloads.pull(found, settings, report, needed)
    except SetupError as error:
        missing = [need for need in needed if not need.find(found, settings).present]
        if settings.images == "pull" or _unbuildable(missing):
            raise
        report.say(f"{error.sentence}\nBuilding it instead, from package registries (one time, a few minutes).")
        _run_build(settings, report, log, missing)


def _run_build(settings: Settings, report: Report, log: Path, missing: Sequence[Requirement]) -> None:
    start = partial(_start_engine, settings, report, log)
    requirements.beside(inventory.BUILDER).build(settings, report, log, missing, start)


def _unbuildable(missing: Sequence[Requirement]) -> str:
    """Why it cannot be built here, or ""."""
    builder = requirements.beside(inventory.BUILDER)
    return builder.unbuildable(missing) if builder else "the builder, nodeimages/, is not installed with the package"


def require_buildable(settings: Settings, missing: Sequence[Requirement]) -> None:
    """Raises SetupError if what is missing cannot be built on this machine."""
    reason = _unbuildable(missing)
    if reason:
        what = ", ".join(need.name for need in missing if _unbuildable([need]))
        otherwise = UNSET if settings.images == "build" else CONNECT
        root = f"on Debian or Ubuntu on x86_64: sudo {inventory.command(settings)}; ./inv setup"
        hint = f"{otherwise}; or, {root if requirements.beside(inventory.BUILDER) else CLONE}"
        raise SetupError(f"What is missing cannot be built here ({what}): {reason}.", hint)


def _start_engine(settings: Settings, report: Report, log: Path) -> None:
    if client.release():
        return
    host = requirements.beside("hostengine.engine")
    if not host:
        raise EngineError("No container engine answers.", inventory.START_OR_INSTALL)
    host.ensure(settings, report, log)
