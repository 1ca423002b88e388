"""Complete a kind node's file system: Debian, kind's own files, our programs, and the control plane's images unpacked.

What kind expects of a node image: https://kind.sigs.k8s.io/docs/design/node-image/
"""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kubetasks import shell, wait
from kubetasks.artifacts import NODE_SOURCE
from kubetasks.errors import SetupError
from kubetasks.offline import archive
from kubetasks.versions import METALLB_IMAGES, Kubernetes

PACKAGES = (
    "systemd dbus conntrack iptables nftables iproute2 ethtool mount kmod libseccomp2 pigz e2fsprogs ca-certificates "
    "curl jq procps runc ebtables socat catatonit"
).split()
NODE_NAMES = ("kubelet", "kubeadm", "kubectl")
CONTROL_PLANE_NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
CNI_PLUGINS = ("ptp", "host-local", "loopback", "portmap")
POD_NETWORK = "localhost/pod-network:built"  # as files/kind/manifests/default-cni.yaml names it
RUNTIME_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
IPTABLES_PACKAGES = (  # kube-proxy's: the programs, their extensions and every library that these load
    "iptables libip4tc2 libip6tc2 libxtables12 libmnl0 libnftnl11 libnetfilter-conntrack3 libnfnetlink0 libnftables1 "
    "nftables libjansson4 libgmp10 libedit2 libbsd0 libmd0 libtinfo6 libc6"
).split()
MERGED_USR = ("bin", "sbin", "lib", "lib64")
BOOT_UNITS = (  # units of Debian that a container does not need; the globs are kind's
    "lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
    "lib/systemd/system/multi-user.target.wants/*",
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/local-fs.target.wants/*",
    "lib/systemd/system/sockets.target.wants/*udev*",
    "lib/systemd/system/sockets.target.wants/*initctl*",
    "lib/systemd/system/basic.target.wants/*",
)
IMAGE_CHANGES = ['ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]', "ENV container=docker"]
STOP_SIGNAL = "SIGRTMIN+3"  # SIGTERM makes systemd re-execute itself


def complete(
    root: Path, programs: Path, kubernetes: Path, version: Kubernetes, work: Path, *, log: Path, stop: threading.Event
) -> None:
    """Turn the Debian file system `root` into a node's, with the programs compiled into two folders.

    Raises ProgramError, SetupError.
    """
    for pattern in BOOT_UNITS:
        for path in root.glob(pattern):
            path.unlink()
    _copy_kind_files(programs / "kind-base", root)
    shutil.copytree(NODE_SOURCE / "files", root, dirs_exist_ok=True)
    _install_programs(programs, kubernetes, root)
    _configure_containerd(programs, root)

    with (root / "etc/systemd/journald.conf").open("a") as journald:
        journald.write("ReadKMsg=no\n")
    (root / "sbin/init").symlink_to("/lib/systemd/systemd")
    (root / "etc/kubernetes/manifests").mkdir(parents=True)
    (root / "kind/version").write_text(f"v{version.built}\n")
    for unit in ("kubelet.service", "containerd.service", "undo-mount-hacks.service"):
        shell.run(["systemctl", f"--root={root}", "enable", unit], log=log)
    shell.run(["systemctl", f"--root={root}", "mask", "systemd-binfmt.service"], log=log)

    layer, images = work / "layer.tar", work / "images.tar"
    _write_layer(root, programs, kubernetes, work / "layer", layer, log)
    wanted = shell.run([str(kubernetes / "kubeadm"), "config", "images", "list", f"--kubernetes-version=v{version.built}"])
    archive.write(images, layer, references(wanted.split()), architecture="amd64")
    _import_images(programs, images, root, work, log, stop)


def references(wanted: list[str]) -> dict[str, list[str]]:
    """Map each image of the control plane, the pod network and MetalLB to its entrypoint; `wanted` is what kubeadm lists."""
    entrypoints = {"pause": ["/usr/bin/catatonit", "-P"]}  # every other has one program, of its own name
    names = {reference: reference.rpartition("/")[2].partition(":")[0] for reference in wanted}
    return {
        **{reference: entrypoints.get(name, [name]) for reference, name in names.items()},
        **{image: [f"metallb-{name}"] for name, image in METALLB_IMAGES.items()},
        POD_NETWORK: ["podnetwork"],
    }


def _copy_kind_files(base: Path, root: Path) -> None:
    for source in sorted(path for path in base.rglob("*") if path.is_file()):
        target = root / source.relative_to(base)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if target.parent in (root / "usr/local/bin", root / "kind/bin") else 0o644)


def _install_programs(programs: Path, kubernetes: Path, root: Path) -> None:
    shutil.copy(kubernetes / "kubernetes", root / "usr/bin/kubernetes")
    for name in NODE_NAMES:
        (root / "usr/bin" / name).symlink_to("kubernetes")
    for name in RUNTIME_PROGRAMS:
        shutil.copy(programs / name, root / "usr/local/bin" / name)
    (root / "opt/cni/bin").mkdir(parents=True)
    for name in CNI_PLUGINS:
        shutil.copy(programs / name, root / "opt/cni/bin" / name)


def _configure_containerd(programs: Path, root: Path) -> None:
    spec = json.loads(shell.run([str(programs / "ctr"), "oci", "spec"]))
    spec.setdefault("hooks", {}).setdefault("createContainer", []).append({"path": "/kind/bin/mount-product-files.sh"})
    spec["process"].pop("rlimits", None)
    (root / "etc/containerd/cri-base.json").write_text(json.dumps(spec))
    path = root / "etc/containerd/config.toml"
    text = path.read_text()
    # without CAP_SYS_RESOURCE a runtime may not lower oom_score_adj, and no pod would start
    changed = text.replace("restrict_oom_score_adj = false", "restrict_oom_score_adj = true")
    if changed == text:
        raise SetupError("kind's containerd configuration is not the one that offline/node.py adapts.")
    path.write_text(changed)


def _sandbox_image(root: Path) -> str:
    for line in (root / "etc/containerd/config.toml").read_text().splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "sandbox_image":
            return value.strip().strip('"')
    raise SetupError("kind's containerd configuration names no sandbox image.")


def _write_layer(root: Path, programs: Path, kubernetes: Path, folder: Path, layer: Path, log: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    binaries = folder / "usr/local/bin"
    binaries.mkdir(parents=True)
    for name, source in {
        "kubernetes": kubernetes / "kubernetes",
        "etcd": programs / "etcd",
        "coredns": programs / "coredns",
        "metallb-controller": programs / "controller",
        "metallb-speaker": programs / "speaker",
        "podnetwork": programs / "podnetwork",
    }.items():
        shutil.copy(source, binaries / name)
    for name in CONTROL_PLANE_NAMES:
        (binaries / name).symlink_to("kubernetes")
    (folder / "tmp").mkdir(mode=0o1777)
    (folder / "etc").mkdir()
    (folder / "etc/passwd").write_text("root:x:0:0:root:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    for name in MERGED_USR:
        if (root / name).is_symlink():
            (folder / name).symlink_to((root / name).readlink())
    paths = [
        line
        for package in [*IPTABLES_PACKAGES, "catatonit"]
        for info in root.glob(f"var/lib/dpkg/info/{package}*.list")
        if info.name.split(".")[0].split(":")[0] == package
        for line in info.read_text().splitlines()
    ]
    for line in [*paths, *(f"/usr/sbin/{name}" for name in _alternatives(root))]:
        file = root / line.lstrip("/")
        if not file.is_symlink() and not file.is_file():
            continue
        target = folder / _real(line)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink() and not target.exists():
            shutil.copy2(file, target, follow_symlinks=False)
    for name, program in _alternatives(root).items():
        link = folder / "usr/sbin" / name
        link.unlink(missing_ok=True)
        link.symlink_to(program)
    shell.run(["tar", "-C", str(folder), "--numeric-owner", "--owner=0", "--group=0", "-cf", str(layer), "."], log=log)


def _real(path: str) -> str:
    """Where the file of that name lies once /bin, /sbin and /lib are links into /usr."""
    parts = path.lstrip("/").split("/", 1)
    return f"usr/{parts[0]}/{parts[1]}" if parts[0] in MERGED_USR and len(parts) == 2 else "/".join(parts)


def _alternatives(root: Path) -> dict[str, str]:
    """Debian's choice of iptables (name -> program), without the links into /etc/alternatives."""
    return {
        link.name: Path(link.readlink()).name
        for link in sorted((root / "etc/alternatives").glob("ip*tables*"))
        if str(link.readlink()).startswith("/usr/sbin/")
    }


def _import_images(programs: Path, images: Path, root: Path, work: Path, log: Path, stop: threading.Event) -> None:
    """Unpack the archive into `root`'s containerd, run outside any container: a cluster then starts 2 s faster."""
    with _containerd(programs, root, work, log, stop) as ctr:
        ctr("images", "import", "--all-platforms", str(images))
        pause = next(name for name in ctr("images", "ls", "-q").split() if "/pause:" in name)
        if _sandbox_image(root) != pause:
            ctr("images", "tag", pause, _sandbox_image(root))
        ctr("content", "prune", "references")  # the packed layers are not needed once unpacked


@contextmanager
def _containerd(programs: Path, root: Path, work: Path, log: Path, stop: threading.Event) -> Iterator[Callable[..., str]]:
    state, address, config = work / "containerd", work / "containerd" / "c.sock", work / "containerd.toml"
    config.write_text(
        "version = 2\n"
        f'root = "{root}/var/lib/containerd"\nstate = "{state}"\n'
        f'[grpc]\n  address = "{address}"\n[ttrpc]\n  address = "{address}.ttrpc"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]\n'
    )

    def ctr(*words: str) -> str:
        command = [str(programs / "ctr"), "--address", str(address), "--namespace", "k8s.io", *words]
        return shell.run(command, log=log, stop=stop)

    with log.open("a") as sink:
        daemon = subprocess.Popen(
            [str(programs / "containerd"), "--config", str(config)], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    try:
        wait.until_done(
            lambda: wait.Done() if address.exists() else wait.Pending("no socket"),
            SetupError,
            "The containerd that was built did not start",
            f"Full log: {log}",
            timeout=30,
            longest_pause=0.1,
        )
        yield ctr
    finally:
        daemon.terminate()
        daemon.wait()
