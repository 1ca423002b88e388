"""Build on this machine what cannot be pulled, or say why that is not possible."""

import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from hostengine import packages
from kubetasks.engine import client
from kubetasks.engine.client import Engine
from kubetasks.project.settings import Settings
from kubetasks.setup import receipt
from kubetasks.setup.install import require_buildable
from kubetasks.setup.log import new_log
from kubetasks.setup.requirements import REGISTRY, File, Requirement
from kubetasks.terminal.door import Door
from nodeimages.build import PACKAGES, Build, make_python


def unbuildable(missing: Sequence[Requirement], system: str = platform.system(), machine: str = platform.machine()) -> str:
    """Why it cannot be built here, or ""."""
    if system != "Linux":
        return f"that needs Linux, and this is {system}"
    if _needs_only_go(missing):
        return ""
    if machine != "x86_64":
        return f"images are built for x86_64, and this is {machine}"
    return "" if packages.possible() else "that needs root on Debian or Ubuntu"


def _needs_only_go(missing: Sequence[Requirement]) -> bool:
    """Whether nobody must be root to build it: Debian's file systems are not part of it."""
    return all(isinstance(need, File) or need is REGISTRY for need in missing)


def build(settings: Settings, do: Door, log: Path, missing: Sequence[Requirement], start: Callable[[], None]) -> None:
    """Build what is missing; `start` starts the engine. Raises EngineError, SetupError, ProgramError."""

    def prepare() -> Engine:
        start()
        if not _needs_only_go(missing):
            packages.install(PACKAGES, settings.cache, log)
        return client.connect()

    Build(settings, do, log, prepare, missing).run()


def python(found: Engine, settings: Settings, do: Door, wanted: Requirement, debian: str, package: str) -> str:
    """Build the image with that package of a Debian release, and return its name.

    Raises EngineError, SetupError, ProgramError.
    """
    require_buildable(settings, [wanted])
    root = settings.cache / f"build-python-{debian}"
    with receipt.locked(settings.cache, do.tell):
        log = new_log(settings.cache)
        packages.install(PACKAGES, settings.cache, log)
        with do.step(f"Creating an image with Python from Debian packages ({debian}: {package})"):
            try:
                make_python(found, debian, root, log, package)
            finally:
                shutil.rmtree(root, ignore_errors=True)
    return wanted.built(settings)
