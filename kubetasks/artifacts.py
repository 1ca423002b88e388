"""Which images and programs are wanted, and whether they are there: one answer for setup, doctor and the tasks.

Each has two origins: downloaded or pulled as pinned, or built on this machine if no image registry can be reached. What is
built is named by a digest over the files that decide its content, so that a change builds it again.
"""

import hashlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kubetasks.application import PROJECT
from kubetasks.engine import Engine
from kubetasks.settings import Settings
from kubetasks.versions import (
    DEBIAN,
    DEFAULT_KUBERNETES,
    KICBASE,
    KIND,
    KUBERNETES,
    METALLB,
    MINIKUBE,
    PYTHON_IMAGE,
    PYTHONS,
    REGISTRY,
    STORAGE_PROVISIONER,
    Kubernetes,
)

NODE_REPOSITORY = "simple-server-node"
KICBASE_REPOSITORY = "simple-server-kicbase"
BASE_REPOSITORY = "simple-server-base"
REGISTRY_REPOSITORY = "simple-server-registry"
REPOSITORIES = (NODE_REPOSITORY, KICBASE_REPOSITORY, BASE_REPOSITORY, REGISTRY_REPOSITORY)  # of what is built
NODE_SOURCE = PROJECT / "images" / "node"
EVERY_NODE = PROJECT / "images" / "every-node"
MINIKUBE_SOURCE = PROJECT / "images" / "minikube"
REGISTRY_SOURCE = PROJECT / "images" / "registry"
RECIPES = Path(__file__).parent / "offline"


@dataclass(frozen=True)
class Artifact:
    """`reference` names an image in the engine, or is the path of a file; `present`: whether it is there."""

    reference: str
    present: bool

    @property
    def short(self) -> str:
        """The reference without its digest."""
        return self.reference.split("@")[0]


def node_image(engine: Engine | None, settings: Settings) -> Artifact:
    """The node image for the settings' Kubernetes; without an engine it is not there."""
    version = KUBERNETES[settings.kubernetes]
    return _image(engine, settings, version.pulled, built_node(version.minor))


def kicbase_image(engine: Engine | None, settings: Settings) -> Artifact:
    """The image of minikube's nodes; a built one holds the settings' Kubernetes. Without an engine it is not there."""

    def tagged(reference: str) -> bool:  # minikube looks for the tag too
        return bool(engine and engine.image_id(reference) and engine.image_id(reference.split("@")[0]))

    return _wanted(settings, KICBASE, built_kicbase(settings.kubernetes), tagged)


def base_image(engine: Engine | None, settings: Settings) -> Artifact:
    """The image that the application's Dockerfile builds on; without an engine it is not there."""
    return _image(engine, settings, PYTHON_IMAGE, built_python(DEBIAN))


def registry_image(engine: Engine | None, settings: Settings) -> Artifact:
    """The image of a cluster's registry; without an engine it is not there."""
    return _image(engine, settings, REGISTRY, built_registry())


def python_image(engine: Engine | None, settings: Settings, minor: str) -> Artifact:
    """An image with that Python; its reference is "" if it must be built and no Debian release has that Python."""
    version = PYTHONS[minor]
    return _image(engine, settings, version.pulled, built_python(version.debian) if version.debian else "")


def _image(engine: Engine | None, settings: Settings, pulled: str, built: str) -> Artifact:
    return _wanted(settings, pulled, built, lambda reference: bool(engine and engine.image_id(reference)))


def _file(settings: Settings, downloaded: str, built: str) -> Artifact:
    return _wanted(settings, str(settings.cache / downloaded), str(settings.cache / built), lambda path: Path(path).exists())


def _wanted(settings: Settings, pulled: str, built: str, present: Callable[[str], bool]) -> Artifact:
    wanted = {"pull": [pulled], "build": [built], "auto": [pulled, built]}[settings.images]
    for reference in filter(None, wanted):
        if present(reference):
            return Artifact(reference, True)
    return Artifact(wanted[0], False)


def kind(settings: Settings) -> Artifact:
    """The kind program in the cache folder."""
    return _file(settings, f"kind-{KIND}/kind", f"kind-{kind_programs_digest()}/kind")


def minikube(settings: Settings) -> Artifact:
    """The minikube program in the cache folder."""
    return _file(settings, f"minikube-{MINIKUBE}/minikube", f"minikube-{minikube_programs_digest()}/minikube")


def metallb_manifest(settings: Settings) -> Artifact:
    """MetalLB's manifest in the cache folder."""
    name = "metallb-native.yaml"
    return _file(settings, f"metallb-{METALLB}/{name}", f"metallb-{kind_programs_digest()}/{name}")


def kubectl() -> Artifact:
    """The kubectl of this Python environment, otherwise the one on PATH."""
    own = Path(sys.executable).with_name("kubectl")
    found = str(own) if own.exists() else shutil.which("kubectl")
    return Artifact(found or "kubectl", bool(found))


# names of what is built


def built_node(minor: str) -> str:
    """The name of the image of kind's nodes, as in `simple-server-node:v1.36.3-0123456789ab`."""
    recipe = _content(RECIPES, "node.py", "archive.py", "kind_node.py")
    return _node_name(NODE_REPOSITORY, minor, kind_programs_digest(), *recipe, *_content(NODE_SOURCE, "files/**/*"))


def built_kicbase(minor: str) -> str:
    """The name of the image of minikube's nodes, as in `simple-server-kicbase:v1.36.3-0123456789ab`."""
    recipe = _content(RECIPES, "node.py", "archive.py", "docker_store.py", "minikube_node.py")
    return _node_name(KICBASE_REPOSITORY, minor, minikube_programs_digest(), *recipe, *_content(MINIKUBE_SOURCE, "files/**/*"))


def _node_name(repository: str, minor: str, *own: str | bytes) -> str:
    version = KUBERNETES[minor]
    parts = kubernetes_digest(version), programs_digest(), digest(DEBIAN, *_content(RECIPES, "rootfs.py"))
    return f"{repository}:v{version.built}-{digest(*parts, *_content(EVERY_NODE, '**/*'), *own)}"


def built_python(debian: str) -> str:
    """The name of an image with the Python of a Debian release."""
    return f"{BASE_REPOSITORY}:{debian}-{digest(debian, *_content(RECIPES, 'rootfs.py', 'python.py'))}"


def built_registry() -> str:
    """The name of the image with a compiled registry."""
    return f"{REGISTRY_REPOSITORY}:{digest(*_content(RECIPES, 'compiler.py', 'registry.py'), *_content(REGISTRY_SOURCE, '*'))}"


def kubernetes_digest(version: Kubernetes) -> str:
    """Names the compiled Kubernetes: its Go source, its locked modules, its release."""
    locked = module_file(version.minor).removesuffix("mod")
    recipe = _content(RECIPES, "compiler.py", "programs.py")
    return digest(version.built, *_content(NODE_SOURCE, f"go/{locked}*", "go/kubernetes/*.go"), *recipe)


def programs_digest() -> str:
    """Names the compiled programs around Kubernetes: containerd, etcd, CoreDNS and network plugins."""
    recipe = _content(RECIPES, "compiler.py", "programs.py")
    return digest(*_content(NODE_SOURCE, "go/go.*", "go/coredns/*.go"), *recipe)


def kind_programs_digest() -> str:
    """Names the compiled kind, MetalLB and pod network."""
    recipe = _content(RECIPES, "compiler.py", "programs.py", "kind_programs.py")
    return digest(KIND, METALLB, *_content(NODE_SOURCE, "go/go.*", "go/podnetwork/*.go"), *recipe)


def minikube_programs_digest() -> str:
    """Names the compiled minikube and what its node has besides Kubernetes' programs."""
    recipe = _content(RECIPES, "compiler.py", "minikube_programs.py")
    return digest(MINIKUBE, STORAGE_PROVISIONER, *_content(MINIKUBE_SOURCE, "go/*.mod", "go/*.sum"), *recipe)


def module_file(minor: str) -> str:
    """The locked Go module, in images/node/go, that Kubernetes of that minor is compiled from."""
    return "go.mod" if minor == DEFAULT_KUBERNETES else f"kubernetes-{minor}.mod"


def digest(*parts: str | bytes) -> str:
    """12 hex digits of the SHA-256 over the parts."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:12]


def _content(folder: Path, *patterns: str) -> list[bytes]:
    """Name and content of each file. Raises ValueError if a pattern finds none: the digest would no longer depend on it."""
    found: set[Path] = set()
    for pattern in patterns:
        files = {path for path in folder.glob(pattern) if path.is_file()}
        if not files:
            raise ValueError(f"{folder} has no file {pattern}.")
        found |= files
    return [part for path in sorted(found) for part in (str(path.relative_to(folder)).encode(), path.read_bytes())]
