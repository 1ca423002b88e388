"""The requirements that setup installs besides the container engine: one answer for setup, doctor and the tasks.

Each has two origins: downloaded or pulled as pinned, or built on this machine if the engine cannot pull. The builder,
`nodeimages`, names what it builds; it lies beside the package in its repository, and an installed package has none.
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
REPOSITORIES = (NODE_REPOSITORY, KICBASE_REPOSITORY, BASE_REPOSITORY, REGISTRY_REPOSITORY)  # everything that is built


@dataclass(frozen=True)
class Artifact:
    """`reference` names an image in the engine, or is the path of a file; `present`: whether it is there."""

    reference: str
    present: bool

    @property
    def short(self) -> str:
        """The reference without its digest."""
        return self.reference.split("@")[0]


def beside(module: str) -> Any:
    """A module of `nodeimages` or `hostengine`, or None if that does not lie beside the package, as in its repository."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(module.partition(".")[0]):
            raise
        return None


def built(name: str, *arguments: str) -> str:
    """The builder's name for an artifact, or "" without the builder."""
    names = beside("nodeimages.names")
    return str(getattr(names, name)(*arguments)) if names else ""


@dataclass(frozen=True, eq=False)
class Requirement:
    """An image, or a File: its name for each origin, pulled or built; "" if it cannot be built.

    An image is pulled by digest; `tagged`: it gets its tag too, because the program that uses it looks for that.
    """

    name: str
    pulled: Callable[[Settings], str]
    built: Callable[[Settings], str]
    tagged: bool = field(default=False, kw_only=True)

    def find(self, engine: Engine | None, settings: Settings) -> Artifact:
        """The one that is wanted, and whether it is there; without an engine, no image is."""
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

    `sha256` has its checksum for each platform, which replaces {platform} in the URL; for "" if there is one for all.
    """

    version: str
    url: str
    sha256: Mapping[str, str]
    program: bool

    def _there(self, _engine: Engine | None, name: str) -> bool:
        return os.access(name, os.X_OK if self.program else os.R_OK)


def kubectl() -> Artifact:
    """The kubectl of this Python environment, otherwise the one on PATH."""
    path = program.path()
    return Artifact(path or "kubectl", bool(path))


def cached(settings: Settings, name: str) -> str:
    """The path of that file in the cache folder; "" for ""."""
    return name and str(settings.cache / name)


def _program(name: str, project: str, version: str, sha256: Mapping[str, str]) -> File:
    """A program that a project releases on GitHub."""
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
