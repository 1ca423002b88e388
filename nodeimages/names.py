"""Names of what is built: a digest over the files that decide its content, so that a change builds it again."""

import hashlib
from pathlib import Path

from kubetasks.project.versions import (
    DEBIAN,
    DEFAULT_KUBERNETES,
    KIND,
    KUBERNETES,
    METALLB,
    MINIKUBE,
    STORAGE_PROVISIONER,
    Kubernetes,
)
from kubetasks.setup.requirements import BASE_REPOSITORY, KICBASE_REPOSITORY, NODE_REPOSITORY, REGISTRY_REPOSITORY
from nodeimages.python import DEFAULT

RECIPES = Path(__file__).resolve().parent
NODE_SOURCE = RECIPES / "data" / "node"
EVERY_NODE = RECIPES / "data" / "every-node"
MINIKUBE_SOURCE = RECIPES / "data" / "minikube"
REGISTRY_SOURCE = RECIPES / "data" / "registry"


def node(minor: str) -> str:
    """The name of the image of kind's nodes, as in `simple-server-node:v1.36.3-0123456789ab`."""
    recipe = _content(RECIPES, "node.py", "archive.py", "kind_node.py")
    return _node_name(NODE_REPOSITORY, minor, kind_programs_digest(), *recipe, *_content(NODE_SOURCE, "files/**/*"))


def kicbase(minor: str) -> str:
    """The name of the image of minikube's nodes, as in `simple-server-kicbase:v1.36.3-0123456789ab`."""
    recipe = _content(RECIPES, "node.py", "archive.py", "docker_store.py", "minikube_node.py")
    return _node_name(KICBASE_REPOSITORY, minor, minikube_programs_digest(), *recipe, *_content(MINIKUBE_SOURCE, "files/**/*"))


def _node_name(repository: str, minor: str, *own: str | bytes) -> str:
    version = KUBERNETES[minor]
    parts = kubernetes_digest(version), programs_digest(), digest(DEBIAN, *_content(RECIPES, "rootfs.py"))
    return f"{repository}:v{version.built}-{digest(*parts, *_content(EVERY_NODE, '**/*'), *own)}"


def python(debian: str, package: str = DEFAULT) -> str:
    """The name of an image with a Python of a Debian release: its own, or that of another package."""
    return f"{BASE_REPOSITORY}:{debian}-{digest(debian, package, *_content(RECIPES, 'rootfs.py', 'python.py'))}"


def registry() -> str:
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


def kind() -> str:
    """The path of the compiled kind in the cache folder."""
    return f"kind-{kind_programs_digest()}/kind"


def metallb_manifest() -> str:
    """The path of MetalLB's manifest in the cache folder."""
    return f"metallb-{kind_programs_digest()}/metallb-native.yaml"


def minikube() -> str:
    """The path of the compiled minikube in the cache folder."""
    return f"minikube-{minikube_programs_digest()}/minikube"


def kind_programs_digest() -> str:
    """Names the compiled kind, MetalLB, pod network and provisioner."""
    recipe = _content(RECIPES, "compiler.py", "programs.py", "kind_programs.py")
    return digest(KIND, METALLB, *_content(NODE_SOURCE, "go/go.*", "go/podnetwork/*.go", "go/localpath/*.go"), *recipe)


def minikube_programs_digest() -> str:
    """Names the compiled minikube and what its node has besides Kubernetes' programs."""
    recipe = _content(RECIPES, "compiler.py", "minikube_programs.py")
    return digest(MINIKUBE, STORAGE_PROVISIONER, *_content(MINIKUBE_SOURCE, "go/*.mod", "go/*.sum"), *recipe)


def module_file(minor: str) -> str:
    """The locked Go module, in nodeimages/data/node/go, that Kubernetes of that minor is compiled from."""
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
