"""The Go programs of a node and of its control plane, compiled from locked modules.

go/go.mod is everything with the default Kubernetes. One module means one version of every dependency: client-go, grpc and
the rest compile once for Kubernetes, CoreDNS, containerd and MetalLB together. Another minor has a module of its own
(go/kubernetes-MINOR.mod) for Kubernetes alone; the programs around it stay the same.
"""

import json
import os
import re
import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from kubetasks import shell
from kubetasks.artifacts import NODE_SOURCE, module_file
from kubetasks.errors import SetupError
from kubetasks.versions import DEFAULT_KUBERNETES, KIND, METALLB, Kubernetes

# MetalLB's only line that does not compile against the controller-runtime that fits this client-go.
METALLB_PATCH = (
    "internal/k8s/webhook.go",
    "conversion.NewWebhookHandler(mgr.GetScheme())",
    "conversion.NewWebhookHandler(mgr.GetScheme(), mgr.GetConverterRegistry())",
)
KIND_ALONE: tuple[str, ...] = ("sigs.k8s.io/kind",)
AROUND: tuple[str, ...] = ("tool", "./coredns", "./podnetwork")  # everything but Kubernetes itself

Progress = Callable[[str, int, int], None]


class Go:
    """The go command with caches of its own under `work`, so that nothing is left in the person's."""

    def __init__(self, go: str, work: Path, log: Path, stop: threading.Event) -> None:
        self._go = go
        self._log = log
        self._stop = stop
        self.environment = {
            "CGO_ENABLED": "0",
            "GOCACHE": str(work / "gocache"),
            "GOMODCACHE": str(work / "gomodcache"),
            "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "GOGC": os.environ.get("GOGC", "400"),  # trades memory (some 2 GiB) for a tenth of the time
        }

    def run(self, folder: Path, *words: str, on_line: Callable[[str], None] | None = None) -> str:
        return shell.run([self._go, *words], env=self.environment, cwd=folder, log=self._log, on_line=on_line, stop=self._stop)

    def module(self, folder: Path, name: str) -> Path:
        """The unpacked source of `name` as in path@version, checked against go.sum."""
        return Path(json.loads(self.run(folder, "mod", "download", "-json", name))["Dir"])


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
    out = _compile(_source(go, work), ("./kubernetes",), go, work, progress, module_file(version.minor), stamp)
    (out / "kubeadm").symlink_to("kubernetes")  # who puts the node together asks it for the images that it wants
    _put(out, folder)


def build_around(folder: Path, go: Go, work: Path, progress: Progress, targets: tuple[str, ...] = AROUND) -> None:
    """Compile `targets` into `folder`, and put beside them what of kind's and MetalLB's modules the images need.

    Afterwards `folder` holds the executables, kind-base/ (kind's files for a node) and metallb-native.yaml.
    """
    source = _source(go, work)
    out = _compile(source, targets, go, work, progress, module_file(DEFAULT_KUBERNETES), {})
    if targets == AROUND:
        (out / "server").rename(out / "etcd")  # etcd's module calls its program so
    kind = go.module(source, f"sigs.k8s.io/kind@{KIND}")
    shutil.copytree(kind / "images" / "base" / "files", out / "kind-base")
    shutil.copy(source / "metallb" / "config" / "manifests" / "metallb-native.yaml", out)
    _put(out, folder)


def _source(go: Go, work: Path) -> Path:
    """A copy of go/ beside which MetalLB's source lies, patched."""
    source = work / "go"
    if not source.exists():
        shutil.copytree(NODE_SOURCE / "go", source)
        metallb = go.module(source, f"go.universe.tf/metallb@{METALLB}")
        shutil.copytree(metallb, source / "metallb")
        _patch(source / "metallb")
    return source


def _compile(
    source: Path, targets: tuple[str, ...], go: Go, work: Path, progress: Progress, module: str, stamp: dict[str, str]
) -> Path:
    """A fresh folder with the programs; `stamp` sets string variables of packages."""
    out = work / "programs"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    packages = set(go.run(source, "list", f"-modfile={module}", "-deps", *targets).split())
    compiled = 0

    def on_line(line: str) -> None:
        nonlocal compiled
        if line in packages:
            compiled += 1
            progress(line, compiled, len(packages))

    go.run(
        source,
        "build",
        "-v",
        "-trimpath",
        f"-modfile={module}",
        "-gcflags=all=-dwarf=false",  # -s -w drops it at the end: not making it saves a tenth of the time
        "-ldflags=" + " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in stamp.items())]),
        "-o",
        f"{out}/",
        *targets,
        on_line=on_line,
    )
    return out


def _put(out: Path, folder: Path) -> None:
    _writable(out)
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    out.rename(folder)


def _patch(metallb: Path) -> None:
    name, old, new = METALLB_PATCH
    _writable(metallb)
    text = (metallb / name).read_text()
    if text.count(old) != 1:
        raise SetupError(f"MetalLB's {name} is not the one that offline/programs.py patches.")
    (metallb / name).write_text(text.replace(old, new))


def _writable(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_symlink():
            continue
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def version_of(output: str) -> tuple[int, ...]:
    """The release in the output of `go version`, for example (1, 26, 8), or ()."""
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", output)
    return tuple(int(part or 0) for part in found.groups()) if found else ()
