"""What a machine must have, looked at, brought, and taken away again."""

import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kubetasks import engine, versions
from kubetasks.engine import Engine
from kubetasks.errors import SetupError
from kubetasks.report import Report, duration
from kubetasks.settings import Settings
from kubetasks.setup import engine as engine_setup
from kubetasks.setup import images


@dataclass(frozen=True)
class Item:
    """One thing that is needed: `detail` says which one is there, or what setup would do."""

    name: str
    present: bool
    detail: str


def look(settings: Settings) -> list[Item]:
    """Every item, as it is now; nothing is changed."""
    release = engine_setup.answers()
    found = engine.connect() if release else None
    node, has_node = images.node_image(found, settings)
    base, has_base = images.base_image(found, settings)
    kind, manifest = images.kind_program(settings), images.metallb_manifest(settings)
    kubectl = kubectl_program()
    missing_image = "to be pulled, or built where no image registry answers"
    return [
        Item("engine", bool(release), f"Docker {release}" if release else _engine_advice(settings)),
        Item("kind", kind.exists(), versions.KIND if kind.exists() else f"to be brought: {versions.KIND}"),
        Item("kubectl", bool(kubectl), kubectl or "to be brought: ./inv installs it in .venv"),
        Item("node image", has_node, short(node) if has_node else missing_image),
        Item("base image", has_base, short(base) if has_base else missing_image),
        Item(
            "load balancer",
            manifest.exists(),
            f"MetalLB {versions.METALLB}" + ("" if manifest.exists() else ", to be brought"),
        ),
    ]


def short(reference: str) -> str:
    """A reference without its digest, as a person reads it."""
    return reference.split("@")[0]


def _engine_advice(settings: Settings) -> str:
    if settings.engine == "refuse":
        return "none answers, and INVOKE_SETUP_ENGINE=refuse forbids to bring one"
    return "none answers: setup installs (on Debian as root) and starts one"


def kubectl_program() -> str:
    """The kubectl of this environment, else the one on PATH, else nothing."""
    own = Path(sys.executable).with_name("kubectl")
    return str(own) if own.exists() else shutil.which("kubectl") or ""


def documents(items: list[Item]) -> list[dict[str, Any]]:
    return [asdict(item) for item in items]


def bring(settings: Settings, report: Report) -> bool:
    """Bring whatever is missing; True where anything was. Raises SetupError, EngineError, ProgramError."""
    import filelock

    if _complete(settings):
        return False
    settings.cache.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(settings.cache / "setup.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        report.say("Another setup is at work; waiting for it to end.")
        lock.acquire()
    try:
        if not _complete(settings):
            _bring(settings, report)
    finally:
        lock.release()
    return True


def _complete(settings: Settings) -> bool:
    return all(item.present for item in look(settings) if item.name != "kubectl")


def _bring(settings: Settings, report: Report) -> None:
    from kubetasks.setup import build, download

    started = time.monotonic()
    log = new_log(settings)
    source = images.source(settings)
    report.say(f"What this prints in short is told at length in {log}")

    def engine_ready() -> None:
        if not engine_setup.answers():
            engine_setup.ensure(settings, report, log)

    if source == "pull":
        engine_ready()
        download.bring(engine.connect(), settings, report)
    else:
        if shutil.which("dockerd"):
            engine_ready()  # one that stood still may have the images; one to be installed can come while Go compiles
        found = connect_or_none()
        node_missing = not images.node_image(found, settings)[1]
        base_missing = not images.base_image(found, settings)[1]
        files = (images.kind_program(settings), images.metallb_manifest(settings))
        if node_missing or base_missing or not all(file.exists() for file in files):
            why = "INVOKE_SETUP_IMAGES=build" if settings.images == "build" else "no image registry answers"
            report.say(f"The images are built here, from package registries ({why}). Once, in some minutes.")
            build.Build(settings, report, log, engine_ready).run(node_missing=node_missing, base_missing=base_missing)
    for item in look(settings):
        if not item.present and item.name != "kubectl":
            raise SetupError(f"The {item.name} is still missing after setup.", f"The log may say why: {log}")
    report.say(f"Set up in {duration(time.monotonic() - started)}.")


def new_log(settings: Settings) -> Path:
    """The log of this run, empty."""
    folder = settings.cache / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "setup.log"
    log.write_text("")
    return log


def connect_or_none() -> Engine | None:
    """The engine, where one answers."""
    return engine.connect() if engine_setup.answers() else None
