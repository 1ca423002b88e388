"""What the nodes of every provider have in common: Debian, our programs, and the control plane's images unpacked."""

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubetasks.errors import SetupError
from kubetasks.project.versions import Kubernetes
from kubetasks.terminal import shell, wait
from nodeimages import archive
from nodeimages.names import EVERY_NODE

PACKAGES = (
    "systemd dbus conntrack iptables nftables iproute2 ethtool mount kmod libseccomp2 pigz e2fsprogs ca-certificates "
    "curl jq procps runc ebtables socat catatonit"
).split()
NODE_NAMES = ("kubelet", "kubeadm", "kubectl")
CONTROL_PLANE_NAMES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
RUNTIME_PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
IPTABLES_PACKAGES = (  # kube-proxy's: the programs, their extensions and every library that these load
    "iptables libip4tc2 libip6tc2 libxtables12 libmnl0 libnftnl11 libnetfilter-conntrack3 libnfnetlink0 libnftables1 "
    "nftables libjansson4 libgmp10 libedit2 libbsd0 libmd0 libtinfo6 libc6"
).split()
MERGED_USR = ("bin", "sbin", "lib", "lib64")
BOOT_UNITS = (  # units of Debian that a container does not need; the globs are kind's and minikube's
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
PAUSE = ["/usr/bin/catatonit", "-P"]
CONTAINERD_CONFIG = "etc/containerd/config.toml"
# Since 2.3, containerd asks each container for its usage once a second, for a kubelet that does not count by itself
# (https://github.com/containerd/containerd/pull/12629).
SELDOM_COUNTED = """
[plugins."io.containerd.cri.v1.runtime"]
  stats_collect_period = "60s"
"""


@dataclass(frozen=True)
class Parts:
    """What a node is put together from: folders of compiled programs, `own` being the provider's, and where to work."""

    version: Kubernetes
    kubernetes: Path
    around: Path
    own: Path
    work: Path
    log: Path


def prepare(root: Path) -> None:
    """Let the Debian file system `root` boot in a container."""
    for pattern in BOOT_UNITS:
        for path in root.glob(pattern):
            path.unlink()
    with (root / "etc/systemd/journald.conf").open("a") as journald:
        journald.write("ReadKMsg=no\n")
    shutil.copytree(EVERY_NODE, root, dirs_exist_ok=True)
    (root / "sbin/init").symlink_to("/lib/systemd/systemd")
    (root / "etc/kubernetes/manifests").mkdir(parents=True)


def units(root: Path, parts: Parts, *enabled: str) -> None:
    """Have systemd start these units, and never the one that would change the host's kernel. Raises ProgramError."""
    for unit in enabled:
        shell.run(["systemctl", f"--root={root}", "enable", unit], log=parts.log)
    shell.run(["systemctl", f"--root={root}", "mask", "systemd-binfmt.service"], log=parts.log)


def install_programs(root: Path, parts: Parts, names: Path, plugins: Mapping[str, Path]) -> None:
    """Install Kubernetes, called by its programs' names in the folder `names`, containerd and network plugins."""
    shutil.copy(parts.kubernetes / "kubernetes", root / "usr/bin/kubernetes")
    (root / names).mkdir(parents=True, exist_ok=True)
    for name in NODE_NAMES:
        (root / names / name).symlink_to("/usr/bin/kubernetes")
    for name in RUNTIME_PROGRAMS:
        shutil.copy(parts.around / name, root / "usr/local/bin" / name)
    (root / "opt/cni/bin").mkdir(parents=True)
    for name, folder in plugins.items():
        shutil.copy(folder / name, root / "opt/cni/bin" / name)


def adapt_containerd(root: Path, new: str) -> None:
    """Let pods start where a runtime may not lower oom_score_adj, for want of CAP_SYS_RESOURCE, and count usage seldom.

    Raises SetupError.
    """
    path = root / CONTAINERD_CONFIG
    text = path.read_text()
    changed = text.replace("restrict_oom_score_adj = false", new)
    if changed == text:
        raise SetupError("containerd's configuration for a node is not the one that nodeimages/node.py adapts.")
    path.write_text(changed + SELDOM_COUNTED)


def sandbox_image(root: Path) -> str:
    """The pause image that containerd's configuration names. Raises SetupError."""
    for line in (root / CONTAINERD_CONFIG).read_text().splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "sandbox_image":
            return value.strip().strip('"')
    raise SetupError("containerd's configuration for a node names no sandbox image.")


@dataclass(frozen=True)
class Images:
    """Images that share the tar file `layer`: reference -> configuration."""

    layer: Path
    diff_id: str
    configurations: dict[str, bytes]


def images(
    root: Path, parts: Parts, programs: Mapping[str, Path], own: Mapping[str, Sequence[str]], pauses: Iterable[str]
) -> Images:
    """Make the control plane's images and the provider's `own` (reference -> entrypoint), and more names of the pause image.

    `programs` maps paths in the images to the provider's programs. Raises ProgramError, SetupError.
    """
    layer = parts.work / "layer.tar"
    _write_layer(root, parts, programs, parts.work / "layer", layer)
    release = f"--kubernetes-version=v{parts.version.built}"
    wanted = shell.run([str(parts.kubernetes / "kubeadm"), "config", "images", "list", release]).split()
    entrypoints = {**dict.fromkeys(pauses, PAUSE), **references(wanted), **own}
    diff_id = archive.diff_id(layer)
    return Images(
        layer,
        diff_id,
        {reference: archive.configuration(diff_id, words, "amd64") for reference, words in entrypoints.items()},
    )


def references(wanted: list[str]) -> dict[str, list[str]]:
    """Map each image of the control plane to its entrypoint; `wanted` is what kubeadm lists."""
    entrypoints = {"pause": PAUSE}  # every other has one program, of its own name
    names = {reference: reference.rpartition("/")[2].partition(":")[0] for reference in wanted}
    return {reference: entrypoints.get(name, [name]) for reference, name in names.items()}


def _write_layer(root: Path, parts: Parts, programs: Mapping[str, Path], folder: Path, layer: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    binaries = folder / "usr/local/bin"
    binaries.mkdir(parents=True)
    ours = {"kubernetes": parts.kubernetes, "etcd": parts.around, "coredns": parts.around}
    for path, source in {**{f"usr/local/bin/{name}": place / name for name, place in ours.items()}, **programs}.items():
        shutil.copy(source, folder / path)
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
    shell.run(["tar", "-C", str(folder), "--numeric-owner", "--owner=0", "--group=0", "-cf", str(layer), "."], log=parts.log)


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


def import_images(root: Path, parts: Parts, images: Images) -> None:
    """Unpack images into `root`'s containerd, run outside any container: a cluster then starts 2 s faster.

    Raises ProgramError, SetupError.
    """
    file = parts.work / "images.tar"
    archive.write(file, images.layer, images.configurations)
    with _containerd(root, parts) as ctr:
        ctr("images", "import", "--all-platforms", str(file))
        ctr("content", "prune", "references")  # the packed layers are not needed once unpacked


@contextmanager
def _containerd(root: Path, parts: Parts) -> Iterator[Callable[..., str]]:
    state, config = parts.work / "containerd", parts.work / "containerd.toml"
    address = state / "c.sock"
    config.write_text(
        "version = 2\n"
        f'root = "{root}/var/lib/containerd"\nstate = "{state}"\n'
        f'[grpc]\n  address = "{address}"\n[ttrpc]\n  address = "{address}.ttrpc"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.nri.v1.nri"]\n'
    )

    def ctr(*words: str) -> str:
        command = [str(parts.around / "ctr"), "--address", str(address), "--namespace", "k8s.io", *words]
        return shell.run(command, log=parts.log)

    with parts.log.open("a") as sink:
        daemon = subprocess.Popen(
            [str(parts.around / "containerd"), "--config", str(config)], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    try:
        wait.until_done(
            lambda: wait.Done() if address.exists() else wait.Pending("no socket"),
            SetupError,
            "The containerd that was built did not start",
            f"Full log: {parts.log}",
            timeout=30,
            pause=0.1,
        )
        yield ctr
    finally:
        daemon.terminate()
        daemon.wait()
