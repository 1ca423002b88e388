"""What is built, and the digests that name it: pure functions of this folder and of the pinned versions."""

import hashlib
from dataclasses import asdict
from pathlib import Path

from kubetasks.versions import DEBIAN, KIND, KUBERNETES, METALLB, Kubernetes

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


def programs_digest(version: Kubernetes) -> str:
    """Names the compiled programs: the Go sources, the locked modules, the release."""
    return digest(*_sources("go/go.*", "go/*/*.go", "programs.py"), repr(asdict(version)))


def node_root_digest() -> str:
    """Names the node's file system before our programs are put in."""
    return digest(DEBIAN, *NODE_PACKAGES, *_sources("rootfs.py"))


def node_digest(version: Kubernetes) -> str:
    """Names the whole node image."""
    return digest(programs_digest(version), node_root_digest(), KIND, METALLB, *_sources("node.py", "archive.py", "files/**/*"))


def python_digest() -> str:
    """Names the base image with Python."""
    return digest(DEBIAN, *PYTHON_PACKAGES, *_sources("rootfs.py", "python.py"))


def node_reference(minor: str) -> str:
    """The node image's name in the engine, as in `simple-server-node:v1.36.3-0123456789ab`."""
    version = KUBERNETES[minor]
    return f"{NODE_REPOSITORY}:v{version.built}-{node_digest(version)}"


def python_reference() -> str:
    """The base image's name in the engine."""
    return f"{BASE_REPOSITORY}:{DEBIAN}-{python_digest()}"
