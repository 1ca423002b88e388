"""Install what this machine lacks: pull and download pinned artifacts, or build them if the engine cannot pull."""

import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from kubetasks.engine import access, client
from kubetasks.errors import EngineError, SetupError
from kubetasks.project.settings import Settings
from kubetasks.project.words import INV, INVOKE
from kubetasks.setup import downloads, inventory, receipt, requirements
from kubetasks.setup.log import new_log
from kubetasks.setup.requirements import Requirement
from kubetasks.terminal.door import Door
from kubetasks.terminal.report import duration

CLONE = "with a clone of its repository, which has the builder: pip install --editable FOLDER"


def install(settings: Settings, do: Door, needed: Sequence[Requirement]) -> bool:
    """Install whatever is missing; return False if nothing was. Raises SetupError, EngineError, ProgramError."""
    if not inventory.missing(settings, needed):
        return False
    with receipt.locked(settings.cache, do.tell):
        if inventory.missing(settings, needed):
            _install(settings, do, needed)
    return True


def _install(settings: Settings, do: Door, needed: Sequence[Requirement]) -> None:
    started = time.monotonic()
    if access.named():
        client.connect()  # raises an error with the reason if a chosen engine does not answer
    log = new_log(settings.cache)
    do.say(f"Full log: {log}")
    building = settings.images == "build"
    if not building or shutil.which("dockerd"):
        _start_engine(settings, do, log)  # a stopped engine may have the images
    engine = client.connect() if client.release() else None
    wanted = inventory.with_base(settings, needed)
    failures = downloads.fetch(engine, settings, do, wanted) if engine and not building else []
    if failures and settings.images == "pull":
        raise failures[0]
    if failures or building:
        missing = [need for need in wanted if not need.find(engine, settings).present]
        _build(settings, do, log, missing, "\n".join(error.sentence for error in failures))
    left = inventory.missing(settings, needed)
    if left:
        raise SetupError(f"Still missing after setup: {', '.join(left)}.", f"The log may say why: {log}")
    do.say(f"Set up in {duration(time.monotonic() - started)}.")


def _build(settings: Settings, do: Door, log: Path, missing: Sequence[Requirement], why: str) -> None:
    """Build what cannot be obtained otherwise; `why` is the reason, if any. Raises SetupError, EngineError, ProgramError."""
    if not missing:
        return
    require_buildable(settings, missing, why)
    names = ", ".join(need.name for need in missing)
    do.say(f"{why or f'{INVOKE}_SETUP_IMAGES=build'}\nBuilding {names} from package registries (one time, a few minutes).")
    start = partial(_start_engine, settings, do, log)
    requirements.optional_module(inventory.BUILDER).build(settings, do, log, missing, start)


def _unbuildable(missing: Sequence[Requirement]) -> str:
    """Return why this cannot be built here, or ""."""
    builder = requirements.optional_module(inventory.BUILDER)
    return builder.unbuildable(missing) if builder else "the builder, nodeimages/, is not installed with the package"


def require_buildable(settings: Settings, missing: Sequence[Requirement], why: str = "") -> None:
    """Raises SetupError if what is missing cannot be built on this machine; `why` says why it cannot be pulled."""
    reason = _unbuildable(missing)
    if reason:
        what = ", ".join(need.name for need in missing if _unbuildable([need]))
        otherwise = f"Let the engine reach an image registry: {INV} doctor reports a proxy that it lacks"
        if settings.images == "build":
            otherwise = f"Unset {INVOKE}_SETUP_IMAGES"
        root = f"on Debian or Ubuntu on x86_64: sudo {inventory.command(settings.provider, settings.kubernetes)}; {INV} setup"
        hint = f"{otherwise}; or, {root if requirements.optional_module(inventory.BUILDER) else CLONE}"
        raise SetupError("\n".join(filter(None, (why, f"What is missing cannot be built here ({what}): {reason}."))), hint)


def _start_engine(settings: Settings, do: Door, log: Path) -> None:
    if client.release():
        return
    host = requirements.optional_module("hostengine.engine")
    if not host:
        raise EngineError("No container engine answers.", inventory.START_OR_INSTALL)
    host.ensure(settings, do, log)
