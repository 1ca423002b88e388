"""minikube, its storage provisioner, crictl and cri-dockerd, from locked modules of their own, and minikube's files for a node.

The module has the same client-go as go/go.mod of the node, so that it compiles once if both are built together.
"""

import shutil
from pathlib import Path

from kubetasks.project.versions import MINIKUBE, STORAGE_PROVISIONER
from nodeimages import compiler
from nodeimages.compiler import Go, Progress
from nodeimages.names import MINIKUBE_SOURCE

TARGETS = (
    "k8s.io/minikube/cmd/minikube",
    "k8s.io/minikube/cmd/storage-provisioner",
    "sigs.k8s.io/cri-tools/cmd/crictl",
    "github.com/containernetworking/plugins/plugins/main/bridge",
    "github.com/containernetworking/plugins/plugins/meta/firewall",
)
CRI_DOCKERD = "github.com/Mirantis/cri-dockerd"  # needs another client-go, so that it has a module of its own
KVM_DRIVER = "pkg/minikube/registry/drvs/kvm2/kvm2.go"  # needs libvirt and a C compiler; its package is empty without it
KNOWN_IMAGES = "pkg/minikube/constants/constants_kubeadm_images.go"
PATCHES = (
    # the library that fits this client-go cannot elect a leader through the endpoints that minikube lets the provisioner use
    (
        "pkg/storage/storage_provisioner.go",
        "hostPathProvisioner, serverVersion.GitVersion)",
        "hostPathProvisioner, serverVersion.GitVersion, controller.LeaderElection(false))",
    ),
    # this client-go wraps the transport more than once, which minikube would report as an error each time
    (
        "pkg/minikube/proxy/proxy.go",
        "if ht, ok := rt.(*http.Transport); ok {\n\t\t\tht.Proxy = nil\n\t\t\trt = ht\n",
        (
            "inner := rt\n"
            "\t\tfor {\n"
            "\t\t\twrapper, ok := inner.(interface{ WrappedRoundTripper() http.RoundTripper })\n"
            "\t\t\tif !ok {\n\t\t\t\tbreak\n\t\t\t}\n"
            "\t\t\tinner = wrapper.WrappedRoundTripper()\n"
            "\t\t}\n"
            "\t\tif ht, ok := inner.(*http.Transport); ok {\n\t\t\tht.Proxy = nil\n"
        ),
    ),
)


def build(folder: Path, go: Go, work: Path, progress: Progress) -> None:
    """Compile them into `folder`, beside them kicbase/ (minikube's files for a node) and kubeadm-images.go (names it knows)."""
    source = work / "minikube"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(MINIKUBE_SOURCE / "go", source)
    minikube = source / "minikube"
    compiler.copy_module(go.module(source, f"k8s.io/minikube@{MINIKUBE}"), minikube)
    (minikube / KVM_DRIVER).unlink()
    for change in PATCHES:
        compiler.patch(minikube, *change)
    out = work / "programs"
    stamp = {
        "k8s.io/minikube/pkg/version.version": MINIKUBE,
        "k8s.io/minikube/pkg/version.storageProvisionerVersion": STORAGE_PROVISIONER.partition(":")[2],
    }
    compiler.build(go, source, (CRI_DOCKERD,), work / "cri-dockerd", progress, module="cri-dockerd.mod", stamp={})
    compiler.build(go, source, TARGETS, out, progress, stamp=stamp)
    (work / "cri-dockerd" / "cri-dockerd").rename(out / "cri-dockerd")
    shutil.copytree(minikube / "deploy" / "kicbase", out / "kicbase")
    shutil.copy(minikube / KNOWN_IMAGES, out / "kubeadm-images.go")
    compiler.keep(out, folder)
