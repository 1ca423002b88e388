"""Complete the file system of minikube's node: its own files, what it expects to find over ssh, and its images.

minikube's recipe for such an image is deploy/kicbase/Dockerfile of its module.
"""

import json
import re
import shutil
from pathlib import Path

from kubetasks.project.versions import KICBASE, MINIKUBE, STORAGE_PROVISIONER
from kubetasks.terminal import shell
from nodeimages import docker_store, node
from nodeimages.names import MINIKUBE_SOURCE
from nodeimages.node import Parts

PACKAGES = [*node.PACKAGES, "docker.io", "openssh-server", "sudo"]
FILES = {  # of deploy/kicbase -> on the node, with its mode
    "10-network-security.conf": ("etc/sysctl.d/10-network-security.conf", 0o644),
    "11-tcp-mtu-probing.conf": ("etc/sysctl.d/11-tcp-mtu-probing.conf", 0o644),
    "automount/minikube-automount": ("usr/sbin/minikube-automount", 0o755),
    "automount/minikube-automount.service": ("usr/lib/systemd/system/minikube-automount.service", 0o644),
    "containerd.toml": (node.CONTAINERD_CONFIG, 0o644),
    "entrypoint": ("usr/local/bin/entrypoint", 0o755),
    "scheduled-stop/minikube-scheduled-stop": ("var/lib/minikube/scheduled-stop/minikube-scheduled-stop", 0o755),
    "scheduled-stop/minikube-scheduled-stop.service": ("usr/lib/systemd/system/minikube-scheduled-stop.service", 0o644),
}
OLDEST_PAUSE = "3.9"  # for a release that minikube does not know


def complete(root: Path, parts: Parts) -> None:
    """Turn the Debian file system `root` into a node's. Raises ProgramError, SetupError."""
    node.prepare(root)
    for name, (target, mode) in FILES.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(parts.own / "kicbase" / name, root / target)
        (root / target).chmod(mode)
    shutil.copytree(MINIKUBE_SOURCE / "files", root, dirs_exist_ok=True)
    # minikube sets a value that it finds as `name = value`
    node.adapt_containerd(root, "restrict_oom_score_adj=true")
    # where minikube would copy them to: it finds that nothing is to be copied
    binaries = Path("var/lib/minikube/binaries") / f"v{parts.version.built}"
    plugins = dict.fromkeys(("host-local", "loopback", "portmap"), parts.around)
    node.install_programs(root, parts, binaries, plugins | dict.fromkeys(("bridge", "firewall"), parts.own))
    shutil.copy(parts.own / "crictl", root / "usr/local/bin/crictl")
    shutil.copy(parts.own / "cri-dockerd", root / "usr/bin/cri-dockerd")
    (root / "usr/bin/dockerd").symlink_to("/usr/sbin/dockerd")  # where minikube's unit starts it
    _add_user(root, parts)
    (root / "kind").mkdir()  # minikube's entrypoint writes there
    (root / "version.json").write_text(json.dumps({"kicbase_version": _tag(KICBASE), "minikube_version": MINIKUBE}))
    node.units(root, parts, "ssh.service", "containerd.service", "minikube-automount.service")
    programs = {"storage-provisioner": parts.own / "storage-provisioner"}
    images = node.images(root, parts, programs, {STORAGE_PROVISIONER: ["/storage-provisioner"]}, pauses(root, parts))
    node.import_images(root, parts, images)
    store = root / "var/lib/docker"
    docker_store.write(store, images.layer, images.diff_id, images.configurations, parts.log)


def _add_user(root: Path, parts: Parts) -> None:
    """Add the user `docker`, as whom minikube logs in with a key; it may become root."""
    user = ["useradd", "--create-home", "--shell=/bin/bash", "--gid=docker", "--password=*", "docker"]  # not locked, no password
    shell.run(["chroot", str(root), *user], log=parts.log)
    shell.run(
        ["chroot", str(root), "install", "--directory", "--owner=docker", "--group=docker", "/home/docker/.ssh"], log=parts.log
    )
    rule = root / "etc/sudoers.d/docker"
    rule.write_text("docker ALL=(ALL) NOPASSWD: ALL\n")
    rule.chmod(0o440)


def pauses(root: Path, parts: Parts) -> list[str]:
    """All names of the pause image that minikube may choose: its table of releases ends before ours."""
    repository = node.sandbox_image(root).rpartition(":")[0]
    known = re.findall(r'"pause":\s*"([^"]+)"', (parts.own / "kubeadm-images.go").read_text())
    return [f"{repository}:{tag}" for tag in {OLDEST_PAUSE, *known}]


def _tag(reference: str) -> str:
    return reference.partition(":")[2].partition("@")[0]
