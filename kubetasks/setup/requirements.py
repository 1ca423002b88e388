"""What setup installs besides the container engine. Each provider names what it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kubetasks.engine.client import Engine
from kubetasks.project import versions
from kubetasks.project.settings import Settings
from kubetasks.setup import artifacts
from kubetasks.setup.artifacts import Artifact


@dataclass(frozen=True, eq=False)
class Requirement:
    """An image, or a File. `find` says which one, and whether it is there.

    An image is pulled by digest; `tagged`: it gets its tag too, because the program that uses it looks for that.
    """

    name: str
    find: Callable[[Engine | None, Settings], Artifact]
    tagged: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, eq=False)
class File(Requirement):
    """A file in the cache folder, downloaded from `url`; `sha256` has its checksums by machine."""

    version: str
    url: str
    sha256: Mapping[str, str]
    program: bool


BASE_IMAGE = Requirement("base image", artifacts.base_image)
REGISTRY = Requirement("registry", artifacts.registry_image)
KIND_NODE_IMAGE = Requirement("node image", artifacts.node_image)
MINIKUBE_NODE_IMAGE = Requirement("node image", artifacts.kicbase_image, tagged=True)
KIND = File(
    "kind",
    lambda _engine, settings: artifacts.kind(settings),
    version=versions.KIND,
    url=f"https://github.com/kubernetes-sigs/kind/releases/download/{versions.KIND}/kind-linux-amd64",
    sha256=versions.KIND_SHA256,
    program=True,
)
MINIKUBE = File(
    "minikube",
    lambda _engine, settings: artifacts.minikube(settings),
    version=versions.MINIKUBE,
    url=f"https://github.com/kubernetes/minikube/releases/download/{versions.MINIKUBE}/minikube-linux-amd64",
    sha256=versions.MINIKUBE_SHA256,
    program=True,
)
LOAD_BALANCER = File(
    "load balancer",
    lambda _engine, settings: artifacts.metallb_manifest(settings),
    version=f"MetalLB {versions.METALLB}",
    url=f"https://raw.githubusercontent.com/metallb/metallb/{versions.METALLB}/config/manifests/metallb-native.yaml",
    sha256=dict.fromkeys(versions.KIND_SHA256, versions.METALLB_MANIFEST_SHA256),  # the same on each machine
    program=False,
)
