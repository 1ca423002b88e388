"""Which images and programs are wanted, and whether they are there: one answer for setup, doctor and the tasks.

Each has two origins: downloaded or pulled as pinned, or built on this machine if no image registry can be reached. The builder,
`nodeimages`, names what it builds; it lies beside the package in its repository, and an installed package has none.
"""

import importlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetasks.engine.client import Engine
from kubetasks.project.settings import Settings
from kubetasks.project.versions import DEBIAN, KICBASE, KIND, KUBERNETES, METALLB, MINIKUBE, PYTHON_IMAGE, PYTHONS, REGISTRY

NODE_REPOSITORY = "simple-server-node"
KICBASE_REPOSITORY = "simple-server-kicbase"
BASE_REPOSITORY = "simple-server-base"
REGISTRY_REPOSITORY = "simple-server-registry"
REPOSITORIES = (NODE_REPOSITORY, KICBASE_REPOSITORY, BASE_REPOSITORY, REGISTRY_REPOSITORY)  # of what is built


@dataclass(frozen=True)
class Artifact:
    """`reference` names an image in the engine, or is the path of a file; `present`: whether it is there."""

    reference: str
    present: bool

    @property
    def short(self) -> str:
        """The reference without its digest."""
        return self.reference.split("@")[0]


def builder(module: str) -> Any:
    """The module of the builder, or None if it is not there."""
    try:
        return importlib.import_module(f"nodeimages.{module}")
    except ModuleNotFoundError:
        return None


def built(name: str, *arguments: str) -> str:
    """What the builder calls what it builds, or "" if it is not there."""
    names = builder("names")
    return str(getattr(names, name)(*arguments)) if names else ""


def node_image(engine: Engine | None, settings: Settings) -> Artifact:
    """The node image for the settings' Kubernetes; without an engine it is not there."""
    version = KUBERNETES[settings.kubernetes]
    return _image(engine, settings, version.pulled, built("node", version.minor))


def kicbase_image(engine: Engine | None, settings: Settings) -> Artifact:
    """The image of minikube's nodes; a built one holds the settings' Kubernetes. Without an engine it is not there."""

    def tagged(reference: str) -> bool:  # minikube looks for the tag too
        return bool(engine and engine.image_id(reference) and engine.image_id(reference.split("@")[0]))

    return _wanted(settings, KICBASE, built("kicbase", settings.kubernetes), tagged)


def base_image(engine: Engine | None, settings: Settings) -> Artifact:
    """The image that the application's Dockerfile builds on; without an engine it is not there."""
    return _image(engine, settings, PYTHON_IMAGE, built("python", DEBIAN))


def registry_image(engine: Engine | None, settings: Settings) -> Artifact:
    """The image of a cluster's registry; without an engine it is not there."""
    return _image(engine, settings, REGISTRY, built("registry"))


def python_image(engine: Engine | None, settings: Settings, minor: str) -> Artifact:
    """An image with that Python; its reference is "" if it must be built and no Debian release has that Python."""
    version = PYTHONS[minor]
    return _image(engine, settings, version.pulled, built("python", version.debian) if version.debian else "")


def _image(engine: Engine | None, settings: Settings, pulled: str, made: str) -> Artifact:
    return _wanted(settings, pulled, made, lambda reference: bool(engine and engine.image_id(reference)))


def _file(settings: Settings, downloaded: str, made: str) -> Artifact:
    made = str(settings.cache / made) if made else ""
    return _wanted(settings, str(settings.cache / downloaded), made, lambda path: Path(path).exists())


def _wanted(settings: Settings, pulled: str, made: str, present: Callable[[str], bool]) -> Artifact:
    wanted = [name for name in {"pull": [pulled], "build": [made], "auto": [pulled, made]}[settings.images] if name]
    for reference in wanted:
        if present(reference):
            return Artifact(reference, True)
    return Artifact(next(iter(wanted), ""), False)


def kind(settings: Settings) -> Artifact:
    """The kind program in the cache folder."""
    return _file(settings, f"kind-{KIND}/kind", built("kind"))


def minikube(settings: Settings) -> Artifact:
    """The minikube program in the cache folder."""
    return _file(settings, f"minikube-{MINIKUBE}/minikube", built("minikube"))


def metallb_manifest(settings: Settings) -> Artifact:
    """MetalLB's manifest in the cache folder."""
    return _file(settings, f"metallb-{METALLB}/metallb-native.yaml", built("metallb_manifest"))


def kubectl() -> Artifact:
    """The kubectl of this Python environment, otherwise the one on PATH."""
    own = Path(sys.executable).with_name("kubectl")
    found = str(own) if own.exists() else shutil.which("kubectl")
    return Artifact(found or "kubectl", bool(found))
