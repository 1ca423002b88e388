"""What is built, and the digests that name it: pure functions of this folder and of the pinned versions."""

import hashlib
from pathlib import Path

from kubetasks.versions import DEBIAN, DEFAULT_KUBERNETES, KIND, KUBERNETES, METALLB, Kubernetes

FOLDER = Path(__file__).resolve().parent

NODE_REPOSITORY = "simple-server-node"
BASE_REPOSITORY = "simple-server-base"

NODE_PACKAGES = (
    "systemd dbus conntrack iptables nftables iproute2 ethtool mount kmod libseccomp2 pigz e2fsprogs ca-certificates "
    "curl jq procps runc ebtables socat catatonit"
).split()
PYTHON_PACKAGES = "python3 python3-venv ca-certificates".split()


def digest(*parts: str | bytes) -> str:
    """12 hex digits of the SHA-256 over the parts."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:12]


def _sources(*patterns: str) -> list[bytes]:
    found = sorted(path for pattern in patterns for path in FOLDER.glob(pattern) if path.is_file())
    return [part for path in found for part in (str(path.relative_to(FOLDER)).encode(), path.read_bytes())]


def module_file(minor: str) -> str:
    """The locked Go module, in go/, that Kubernetes of that minor is compiled from."""
    return "go.mod" if minor == DEFAULT_KUBERNETES else f"kubernetes-{minor}.mod"


def kubernetes_digest(version: Kubernetes) -> str:
    """Names the compiled Kubernetes: its Go source, its locked modules, its release."""
    locked = module_file(version.minor).removesuffix("mod")
    return digest(version.built, *_sources(f"go/{locked}*", "go/kubernetes/*.go", "programs.py"))


def programs_digest() -> str:
    """Names the compiled programs around Kubernetes: containerd, etcd, CoreDNS, the CNI plugins, MetalLB and kind."""
    return digest(*_sources("go/go.*", "go/coredns/*.go", "programs.py"))


def node_root_digest() -> str:
    """Names the node's file system before our programs are put in."""
    return digest(DEBIAN, *NODE_PACKAGES, *_sources("rootfs.py"))


def node_digest(version: Kubernetes) -> str:
    """Names the whole node image."""
    parts = kubernetes_digest(version), programs_digest(), node_root_digest(), KIND, METALLB
    return digest(*parts, *_sources("node.py", "archive.py", "files/**/*"))


def python_digest(debian: str) -> str:
    """Names an image with the Python of that Debian release."""
    return digest(debian, *PYTHON_PACKAGES, *_sources("rootfs.py", "python.py"))


def node_reference(minor: str) -> str:
    """The node image's name in the engine, as in `simple-server-node:v1.36.3-0123456789ab`."""
    version = KUBERNETES[minor]
    return f"{NODE_REPOSITORY}:v{version.built}-{node_digest(version)}"


def python_reference(debian: str = DEBIAN) -> str:
    """Its name in the engine; that of bookworm is what the application's image stands on."""
    return f"{BASE_REPOSITORY}:{debian}-{python_digest(debian)}"
