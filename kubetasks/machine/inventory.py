"""What the tasks need of this machine, and whether it is there."""

from dataclasses import dataclass

from kubetasks import artifacts, engine, versions
from kubetasks.artifacts import Artifact
from kubetasks.machine import engine as machine_engine
from kubetasks.settings import Settings

MISSING_IMAGE = "to be pulled, or built if no image registry can be reached"


@dataclass(frozen=True)
class Item:
    """One thing that is needed; `detail` says which one is there, or what `remedy`, a command, would do."""

    name: str
    present: bool
    detail: str
    remedy: str = "./inv setup"


def look(settings: Settings) -> list[Item]:
    """Every item as it is now; nothing is changed. Raises EngineError if the engine denies access."""
    release = machine_engine.release()
    found = engine.connect() if release else None
    kind, manifest, kubectl = artifacts.kind(settings), artifacts.metallb_manifest(settings), artifacts.kubectl()
    return [
        Item("engine", bool(release), f"Docker {release}" if release else _engine_advice(settings)),
        Item("kind", kind.present, versions.KIND if kind.present else f"{versions.KIND}, to be downloaded or built"),
        Item(
            "kubectl",
            kubectl.present,
            kubectl.reference if kubectl.present else "./inv installs it in .venv",
            "pip install -r requirements/tasks.txt",
        ),
        _image("node image", artifacts.node_image(found, settings)),
        _image("base image", artifacts.base_image(found, settings)),
        Item(
            "load balancer",
            manifest.present,
            f"MetalLB {versions.METALLB}" + ("" if manifest.present else ", to be downloaded or built"),
        ),
    ]


def _image(name: str, image: Artifact) -> Item:
    return Item(name, image.present, image.short if image.present else MISSING_IMAGE)


def _engine_advice(settings: Settings) -> str:
    if settings.engine == "refuse":
        return "none answers, and INVOKE_SETUP_ENGINE=refuse forbids installing one"
    return "none answers: setup installs (on Debian, as root) and starts one"


def missing(settings: Settings) -> list[str]:
    """The names of what setup would install; kubectl comes with .venv."""
    return [item.name for item in look(settings) if not item.present and item.name != "kubectl"]
