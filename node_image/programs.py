"""The Go programs of a node and of its control plane, compiled from one locked module (go/go.mod, go/go.sum).

One module means one version of every dependency: client-go, grpc and the rest compile once for Kubernetes, CoreDNS,
containerd and MetalLB together.
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
from kubetasks.errors import SetupError
from kubetasks.versions import KIND, METALLB, Kubernetes
from node_image.recipe import FOLDER

# MetalLB's only line that does not compile against the controller-runtime that fits this client-go.
METALLB_PATCH = (
    "internal/k8s/webhook.go",
    "conversion.NewWebhookHandler(mgr.GetScheme())",
    "conversion.NewWebhookHandler(mgr.GetScheme(), mgr.GetConverterRegistry())",
)
KIND_ALONE: tuple[str, ...] = ("sigs.k8s.io/kind",)
ALL: tuple[str, ...] = ("tool", "./kubernetes", "./coredns")

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


def build(version: Kubernetes, programs: Path, go: Go, work: Path, progress: Progress, targets: tuple[str, ...] = ALL) -> None:
    """Compile `targets` into `programs`, and put beside them what of kind's and MetalLB's modules the images need.

    Afterwards `programs` holds the executables, kind-base/ (kind's files for a node) and metallb-native.yaml.
    """
    source = work / "go"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(FOLDER / "go", source)
    metallb = go.module(source, f"go.universe.tf/metallb@{METALLB}")
    shutil.copytree(metallb, source / "metallb")
    _patch(source / "metallb")

    out = work / "programs"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    packages = set(go.run(source, "list", "-deps", *targets).split())
    compiled = 0

    def on_line(line: str) -> None:
        nonlocal compiled
        if line in packages:
            compiled += 1
            progress(line, compiled, len(packages))

    release = version.built
    stamp = {
        "k8s.io/component-base/version.gitVersion": f"v{release}",
        "k8s.io/component-base/version.gitMajor": release.split(".")[0],
        "k8s.io/component-base/version.gitMinor": release.split(".")[1],
        "k8s.io/component-base/version.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": f"v{release}",
    }
    go.run(
        source,
        "build",
        "-v",
        "-trimpath",
        "-gcflags=all=-dwarf=false",  # -s -w drops it at the end: not making it saves a tenth of the time
        "-ldflags=" + " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in stamp.items())]),
        "-o",
        f"{out}/",
        *targets,
        on_line=on_line,
    )
    if targets == ALL:
        (out / "server").rename(out / "etcd")  # etcd's module calls its program so
    kind = go.module(source, f"sigs.k8s.io/kind@{KIND}")
    shutil.copytree(kind / "images" / "base" / "files", out / "kind-base")
    shutil.copy(metallb / "config" / "manifests" / "metallb-native.yaml", out)
    _writable(out)
    shutil.rmtree(programs, ignore_errors=True)
    programs.parent.mkdir(parents=True, exist_ok=True)
    out.rename(programs)


def _patch(metallb: Path) -> None:
    name, old, new = METALLB_PATCH
    _writable(metallb)
    text = (metallb / name).read_text()
    if text.count(old) != 1:
        raise SetupError(f"MetalLB's {name} is not the one that node_image/programs.py knows how to compile.")
    (metallb / name).write_text(text.replace(old, new))


def _writable(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IWUSR)


def version_of(output: str) -> tuple[int, ...]:
    """The release in what `go version` prints, as in (1, 26, 8); () where there is none."""
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", output)
    return tuple(int(part or 0) for part in found.groups()) if found else ()
