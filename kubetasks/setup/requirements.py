"""The requirements that setup installs besides the container engine: one definition for setup, doctor and the tasks.

Each has two origins: it is downloaded or pulled as pinned, or built on this machine if the engine cannot pull. The builder,
`nodeimages`, names what it builds; it is beside the package in the repository, but not part of an installed package.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kubetasks.engine.client import Engine
from kubetasks.kube import kubectl as program
from kubetasks.project import versions
from kubetasks.project.settings import Settings
from kubetasks.project.versions import DEBIAN, KICBASE, KUBERNETES, PYTHON_IMAGE

NODE_REPOSITORY = "simple-server-node"
KICBASE_REPOSITORY = "simple-server-kicbase"
BASE_REPOSITORY = "simple-server-base"
REGISTRY_REPOSITORY = "simple-server-registry"
REPOSITORIES = (NODE_REPOSITORY, KICBASE_REPOSITORY, BASE_REPOSITORY, REGISTRY_REPOSITORY)  # of all built images


@dataclass(frozen=True)
class Artifact:
    """An image or a file: `reference` is the image reference or the file's path, `present` whether it exists."""

    reference: str
    present: bool

    @property
    def short(self) -> str:
        """The reference without its digest."""
        return self.reference.split("@")[0]


def optional_module(module: str) -> Any:
    """Import a module of `nodeimages` or `hostengine`; return None if that is not beside this package, as in the repository."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(module.partition(".")[0]):
            raise
        return None


def built(name: str, *arguments: str) -> str:
    """Return the builder's name for an artifact, or "" if there is no builder."""
    names = optional_module("nodeimages.names")
    return str(getattr(names, name)(*arguments)) if names else ""


@dataclass(frozen=True, eq=False)
class Requirement:
    """An image, or a File; `pulled` and `built` return its name for each origin, "" if it cannot be built.

    An image is pulled by digest; `tagged`: it also gets its tag, because the program that uses it looks for the tag.
    """

    name: str
    pulled: Callable[[Settings], str]
    built: Callable[[Settings], str]
    tagged: bool = field(default=False, kw_only=True)

    def find(self, engine: Engine | None, settings: Settings) -> Artifact:
        """Return an artifact that meets this requirement, a present one if possible; without an engine, no image is present."""
        ways = {"pull": [self.pulled], "build": [self.built], "auto": [self.pulled, self.built]}[settings.images]
        wanted = [name for name in (way(settings) for way in ways) if name]
        present = next((name for name in wanted if self._there(engine, name)), "")
        return Artifact(present or next(iter(wanted), self.pulled(settings)), bool(present))

    def _there(self, engine: Engine | None, name: str) -> bool:
        names = {name, name.split("@")[0]} if self.tagged else {name}
        return engine is not None and all(engine.image_id(reference) for reference in names)


@dataclass(frozen=True, eq=False)
class File(Requirement):
    """A file in the cache folder, downloaded from `url`.

    `sha256` maps each platform, which replaces {platform} in the URL, to the checksum; "" stands for all platforms.
    """

    version: str
    url: str
    sha256: Mapping[str, str]
    program: bool

    def _there(self, _engine: Engine | None, name: str) -> bool:
        return os.access(name, os.X_OK if self.program else os.R_OK)


def kubectl() -> Artifact:
    """Return the kubectl of this Python environment, otherwise the one on PATH."""
    path = program.path()
    return Artifact(path or "kubectl", bool(path))


def cached(settings: Settings, name: str) -> str:
    """Return the path of that file in the cache folder, or "" if `name` is ""."""
    return name and str(settings.cache / name)


def _program(name: str, project: str, version: str, sha256: Mapping[str, str]) -> File:
    """Return the requirement of a program that a project releases on GitHub."""
    return File(
        name,
        lambda of: cached(of, f"{name}-{version}/{name}"),
        lambda of: cached(of, built(name)),
        version=version,
        url=f"https://github.com/{project}/releases/download/{version}/{name}-{{platform}}",
        sha256=sha256,
        program=True,
    )


BASE_IMAGE = Requirement("base image", lambda _: PYTHON_IMAGE, lambda _: built("python", DEBIAN))
REGISTRY = Requirement("registry", lambda _: versions.REGISTRY, lambda _: built("registry"))
KIND_NODE_IMAGE = Requirement("node image", lambda of: KUBERNETES[of.kubernetes].pulled, lambda of: built("node", of.kubernetes))
MINIKUBE_NODE_IMAGE = Requirement("node image", lambda _: KICBASE, lambda of: built("kicbase", of.kubernetes), tagged=True)
KIND = _program("kind", "kubernetes-sigs/kind", versions.KIND, versions.KIND_SHA256)
MINIKUBE = _program("minikube", "kubernetes/minikube", versions.MINIKUBE, versions.MINIKUBE_SHA256)
LOAD_BALANCER = File(
    "load balancer",
    lambda of: cached(of, f"metallb-{versions.METALLB}/metallb-native.yaml"),
    lambda of: cached(of, built("metallb_manifest")),
    version=f"MetalLB {versions.METALLB}",
    url=f"https://raw.githubusercontent.com/metallb/metallb/{versions.METALLB}/config/manifests/metallb-native.yaml",
    sha256={"": versions.METALLB_MANIFEST_SHA256},
    program=False,
)
