"""Complete a kind node's file system: kind's own files, and the images of MetalLB, the pod network and the provisioner.

What kind expects of a node image: https://kind.sigs.k8s.io/docs/design/node-image/
"""

import json
import shutil
from pathlib import Path

from kubetasks.project.versions import METALLB
from kubetasks.terminal import shell
from nodeimages import node
from nodeimages.names import NODE_SOURCE
from nodeimages.node import Parts

PACKAGES = node.PACKAGES
METALLB_IMAGES = {name: f"quay.io/metallb/{name}:{METALLB}" for name in ("controller", "speaker")}  # as its manifest names them
OWN_IMAGES = {  # as the manifests in files/kind/manifests name them
    "podnetwork": "localhost/pod-network:built",
    "localpath": "localhost/local-path:built",
}


def complete(root: Path, parts: Parts) -> None:
    """Turn the Debian file system `root` into a node's. Raises ProgramError, SetupError."""
    node.prepare(root)
    _copy_kind_files(parts.own / "kind-base", root)
    shutil.copytree(NODE_SOURCE / "files", root, dirs_exist_ok=True)
    plugins = dict.fromkeys(("host-local", "loopback", "portmap"), parts.around) | {"ptp": parts.own}
    node.install_programs(root, parts, Path("usr/bin"), plugins)
    _configure_containerd(root, parts)
    (root / "kind/version").write_text(f"v{parts.version.built}\n")
    node.units(root, parts, "kubelet.service", "containerd.service", "undo-mount-hacks.service")
    programs = {f"usr/local/bin/metallb-{name}": parts.own / name for name in METALLB_IMAGES}
    programs |= {f"usr/local/bin/{name}": parts.own / name for name in OWN_IMAGES}
    node.import_images(root, parts, node.images(root, parts, programs, images(), [node.sandbox_image(root)]))


def images() -> dict[str, list[str]]:
    """The images besides the control plane's, and their entrypoints."""
    metallb = {image: [f"metallb-{name}"] for name, image in METALLB_IMAGES.items()}
    return metallb | {image: [name] for name, image in OWN_IMAGES.items()}


def _copy_kind_files(base: Path, root: Path) -> None:
    for source in sorted(path for path in base.rglob("*") if path.is_file()):
        target = root / source.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if target.parent in (root / "usr/local/bin", root / "kind/bin") else 0o644)


def _configure_containerd(root: Path, parts: Parts) -> None:
    spec = json.loads(shell.run([str(parts.around / "ctr"), "oci", "spec"]))
    spec.setdefault("hooks", {}).setdefault("createContainer", []).append({"path": "/kind/bin/mount-product-files.sh"})
    spec["process"].pop("rlimits", None)
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(spec))
    node.adapt_containerd(root, "restrict_oom_score_adj = true")
