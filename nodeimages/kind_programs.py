"""kind, MetalLB, the pod network, the provisioner of volumes, and what of their modules a kind cluster needs."""

import shutil
from pathlib import Path

from kubetasks.project.versions import KIND
from nodeimages import compiler, programs
from nodeimages.compiler import Go, Progress

TARGETS = (
    "./podnetwork",
    "./localpath",
    "sigs.k8s.io/kind",
    "github.com/containernetworking/plugins/plugins/main/ptp",
    "go.universe.tf/metallb/controller",
    "go.universe.tf/metallb/speaker",
)


def build(folder: Path, go: Go, work: Path, progress: Progress) -> None:
    """Compile them into `folder`, beside them kind-base/ (kind's files for a node) and metallb-native.yaml."""
    source = programs.source(go, work)
    out = work / "programs"
    compiler.build(go, source, TARGETS, out, progress, stamp={})
    kind = go.module(source, f"sigs.k8s.io/kind@{KIND}")
    shutil.copytree(kind / "images" / "base" / "files", out / "kind-base")
    shutil.copy(source / "metallb" / "config" / "manifests" / "metallb-native.yaml", out)
    compiler.keep(out, folder)
