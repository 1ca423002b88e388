"""What a machine must have, looked at, brought, and taken away again."""

import os
import shlex
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kubetasks import engine, versions
from kubetasks.engine import Engine
from kubetasks.errors import ClusterError, SetupError
from kubetasks.report import Report, duration
from kubetasks.settings import Settings
from kubetasks.setup import build, download, images, record
from kubetasks.setup import engine as engine_setup
from node_image import recipe


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
        Item("node image", has_node, _short(node) if has_node else missing_image),
        Item("base image", has_base, _short(base) if has_base else missing_image),
        Item(
            "load balancer",
            manifest.exists(),
            f"MetalLB {versions.METALLB}" + ("" if manifest.exists() else ", to be brought"),
        ),
    ]


def _short(reference: str) -> str:
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
    started = time.monotonic()
    log = _new_log(settings)
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
        found = _connect_or_none()
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


def _new_log(settings: Settings) -> Path:
    folder = settings.cache / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "setup.log"
    log.write_text("")
    return log


def take_away(settings: Settings, report: Report) -> list[str]:
    """Remove what setup made: images, the engine that it installed, the cache folder. Returns their names.

    Everything that forbids it is looked for first. Raises ClusterError while a cluster of ours exists, EngineError where the
    engine does not answer, SetupError where the engine that setup installed holds something of others.
    """
    if not settings.cache.exists():
        return []
    made = record.read(settings.cache)
    log = _new_log(settings)
    if not engine_setup.answers() and shutil.which("dockerd"):
        engine_setup.ensure(settings, report, log)  # nothing in an engine can be seen or removed while it stands still
    found = _connect_or_none()
    images_of_ours: list[str] = []
    if found:
        clusters = found.our_clusters()
        if clusters:
            raise ClusterError(
                f"Clusters of ours are still there: {', '.join(clusters)}.",
                f"INVOKE_CLUSTER_NAME={clusters[0]} ./inv clean --all",
            )
        images_of_ours = [
            *found.image_tags(recipe.NODE_REPOSITORY),
            *found.image_tags(recipe.BASE_REPOSITORY),
            *(reference for reference in made.pulled if found.image_id(reference)),
        ]
        if made.folders:
            _require_unused(found, made.pulled)
    for reference in images_of_ours if found else []:
        assert found
        found.remove_image(reference)
    gone = images_of_ours
    if engine_setup.stop(settings.cache, report):
        gone.append("the engine that setup started")
    gone += engine_setup.uninstall(settings.cache, report, log)
    shutil.rmtree(settings.cache)
    return [*gone, str(settings.cache)]


def _connect_or_none() -> Engine | None:
    return engine.connect() if engine_setup.answers() else None


def _require_unused(found: Engine, pulled: list[str]) -> None:
    """The data folder goes with the engine: nobody else's things may be in it."""
    names = {f"image {reference.split('@')[0]}" for reference in pulled}
    others = [thing for thing in found.everything() if thing not in names]
    if others:
        raise SetupError(
            f"The engine that setup installed holds what is not ours: {', '.join(others[:5])}.",
            "Remove it first (docker system prune --all --volumes), or keep the engine",
        )


def environment_line(settings: Settings, kubeconfig: str) -> str:
    """The export line that makes pasted kind and kubectl commands use our programs and our cluster."""
    folders = []
    for program in (str(images.kind_program(settings)), kubectl_program()):
        if program and shutil.which(Path(program).name) != program and str(Path(program).parent) not in folders:
            folders.append(str(Path(program).parent))
    path = f'PATH={shlex.quote(os.pathsep.join(folders))}:"$PATH" ' if folders else ""
    return f"export {path}KUBECONFIG={shlex.quote(kubeconfig)}"
