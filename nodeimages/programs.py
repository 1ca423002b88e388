"""The Go programs of a node and of its control plane, whatever creates the cluster.

go/go.mod is everything with the default Kubernetes. One module means one version of every dependency: client-go, grpc and
the rest compile once for Kubernetes, CoreDNS, containerd and MetalLB together. Another minor has a module of its own
(go/kubernetes-MINOR.mod) for Kubernetes alone; the programs around it stay the same.
"""

import shutil
from pathlib import Path

from kubetasks.project.versions import METALLB, Kubernetes
from nodeimages import compiler
from nodeimages.compiler import Go, Progress
from nodeimages.names import NODE_SOURCE, module_file

# MetalLB's only line that does not compile against the controller-runtime that fits this client-go.
METALLB_PATCH = (
    "internal/k8s/webhook.go",
    "conversion.NewWebhookHandler(mgr.GetScheme())",
    "conversion.NewWebhookHandler(mgr.GetScheme(), mgr.GetConverterRegistry())",
)
AROUND = (  # etcd's module calls its program server
    "./coredns",
    "go.etcd.io/etcd/server/v3",
    "github.com/containerd/containerd/v2/cmd/containerd",
    "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    "github.com/containerd/containerd/v2/cmd/ctr",
    "github.com/containernetworking/plugins/plugins/ipam/host-local",
    "github.com/containernetworking/plugins/plugins/main/loopback",
    "github.com/containernetworking/plugins/plugins/meta/portmap",
)


def build_kubernetes(version: Kubernetes, folder: Path, go: Go, work: Path, progress: Progress) -> None:
    """Compile the release's one program into `folder`."""
    release = version.built
    stamp = {
        "k8s.io/component-base/version.gitVersion": f"v{release}",
        "k8s.io/component-base/version.gitMajor": release.split(".")[0],
        "k8s.io/component-base/version.gitMinor": release.split(".")[1],
        "k8s.io/component-base/version.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": f"v{release}",
    }
    out = work / "programs"
    compiler.build(go, source(go, work), ("./kubernetes",), out, progress, module=module_file(version.minor), stamp=stamp)
    (out / "kubeadm").symlink_to("kubernetes")  # who puts the node together asks it for the images that it wants
    compiler.keep(out, folder)


def build_around(folder: Path, go: Go, work: Path, progress: Progress) -> None:
    """Compile what every node has besides Kubernetes into `folder`."""
    out = work / "programs"
    compiler.build(go, source(go, work), AROUND, out, progress, stamp={})
    (out / "server").rename(out / "etcd")
    compiler.keep(out, folder)


def source(go: Go, work: Path) -> Path:
    """A copy of go/ beside which MetalLB's source lies, patched."""
    folder = work / "go"
    if not folder.exists():
        shutil.copytree(NODE_SOURCE / "go", folder)
        compiler.copy_module(go.module(folder, f"go.universe.tf/metallb@{METALLB}"), folder / "metallb")
        compiler.patch(folder / "metallb", *METALLB_PATCH)
    return folder
