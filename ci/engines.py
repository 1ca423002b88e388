"""A second container engine, as most people have it: Docker from Debian sid, with the containerd image store.

It has its own root file system, mounts and network: two engines in one network would share a bridge and firewall rules.
A rootless engine is one that a user runs in such a root file system.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ci import dockerd
from hostengine import engine as hostengine
from hostengine import packages
from kubetasks.engine import client
from kubetasks.errors import EngineError, SetupError
from kubetasks.project.settings import Settings
from kubetasks.setup import requirements
from kubetasks.setup.log import new_log
from kubetasks.setup.requirements import File, Requirement
from kubetasks.terminal import interruption, shell, wait
from kubetasks.terminal.door import Door
from nodeimages import build, rootfs

RELEASE = "sid"
PACKAGES = "docker.io docker-cli docker-buildx iptables iproute2 ca-certificates kmod procps mount slirp4netns".split()
ROOTLESS = [*PACKAGES, "rootlesskit", "uidmap", "passwd"]
PERSON = "person"
SECONDS = 60
PID = "srv/engine/pid"
# The engine's files are in /srv/engine. Its root needs pivot_root, because `docker exec` escapes from a chroot.
# slirp4netns connects the network namespace to the outside, with its own addresses and no rule in this machine's firewall.
START = """\
root=$1 person=$2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'nameserver 10.0.2.3' > "$root/etc/resolv.conf"
echo '{"features": {"containerd-snapshotter": true}}' > "$root/etc/docker/daemon.json"
cd "$root"
pivot_root . old
umount -l /old
mount -t tmpfs tmpfs /run
if [ "$person" ]; then
    mknod --mode=666 /run/tun c 10 200 && mount --bind /run/tun /dev/net/tun
    install --directory --owner="$person" /run/user /srv/engine
    echo $$ > /srv/engine/pid
    exec setpriv --reuid="$person" --regid="$person" --init-groups env --ignore-environment PATH="$PATH" \\
        HOME="/home/$person" XDG_RUNTIME_DIR=/run/user DOCKERD_ROOTLESS_ROOTLESSKIT_DISABLE_HOST_LOOPBACK=true \\
        /usr/share/docker.io/contrib/dockerd-rootless.sh --host unix:///srv/engine/docker.sock
fi
unshare --net sh -ec '
    ip link set lo up
    echo $$ > /srv/engine/pid
    until ip link show tap0 > /dev/null 2>&1; do sleep 0.05; done
    exec dockerd --host unix:///srv/engine/docker.sock' &
until [ -s /srv/engine/pid ]; do sleep 0.05; done
exec slirp4netns --configure --mtu=65520 --disable-host-loopback "$(cat /srv/engine/pid)" tap0
"""


@dataclass(frozen=True)
class Modern:
    """A running engine; `pid` is its process. A rootless one publishes its containers' ports on this machine."""

    release: str
    root: Path
    pid: int
    rootless: bool

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that make docker use it, with its buildx plugin."""
        return {"DOCKER_HOST": f"unix://{self.root}/srv/engine/docker.sock", "DOCKER_CONFIG": str(self.root / "srv/engine/cli")}

    def inside(self, argv: list[str]) -> list[str]:
        """Return the words that run a program in the network where its containers' ports answer."""
        return argv if self.rootless else ["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv]


def require_possible() -> None:
    """Raise SetupError if this machine cannot create a root file system with an engine."""
    if not packages.possible():
        raise SetupError("A second engine needs root on Debian or Ubuntu.", "Type it as root")


@contextmanager
def modern(settings: Settings, do: Door, needed: Sequence[Requirement], *, newest: bool) -> Iterator[Modern]:
    """Create and start the engine with the `needed` images, copied from this machine's engine; remove it at the end.

    `newest`: use Docker's newest release, compiled, instead of Debian's. Raises SetupError, EngineError, ProgramError.
    """
    with _root(settings, do, PACKAGES) as (root, log):
        if newest:
            for program in dockerd.compiled(settings, do, log).iterdir():
                shutil.copy(program, root / "usr/sbin")
        with running(root, log) as made:
            if newest and made.release != dockerd.RELEASE:
                raise EngineError(f"The engine is Docker {made.release}, not {dockerd.RELEASE}.")
            with do.step(f"Copying images to Docker {made.release}"):
                copy_images(settings, made, needed, root.with_name("images.tar"))
            yield made


@contextmanager
def rootless(settings: Settings, do: Door) -> Iterator[Modern]:
    """Create and start a user's rootless engine, without images; remove it at the end.

    Raises SetupError, EngineError, ProgramError.
    """
    with _root(settings, do, ROOTLESS) as (root, log):
        add_person(root, log)
        with running(root, log, PERSON) as made:
            yield made


@contextmanager
def _root(settings: Settings, do: Door, names: list[str]) -> Iterator[tuple[Path, Path]]:
    """Create a root file system with these packages, and remove it at the end; yield it and the log."""
    require_possible()
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))  # a socket's path has at most 108 characters
    log, root = new_log(settings.cache), folder / "root"
    try:
        with do.step(f"Creating an engine from Debian packages ({RELEASE})"):
            packages.install(build.PACKAGES, settings.cache, log)
            rootfs.make(root, names, log=log, debian=RELEASE)
        yield root, log
    finally:
        with interruption.cleaning():
            hostengine.remove_folder(folder, log)


def add_person(root: Path, log: Path) -> None:
    """Add a user who may use the engine or run a rootless one."""
    shell.run(["chroot", str(root), "useradd", "--create-home", "--groups=docker", "--shell=/bin/sh", PERSON], log=log)


@contextmanager
def running(root: Path, log: Path, person: str = "") -> Iterator[Modern]:
    """Run the engine of a root file system with PACKAGES or, if `person` is given, that user's rootless one, with ROOTLESS.

    Raises EngineError.
    """
    for name in ("old", "srv/engine/cli/cli-plugins", "etc/docker"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "srv/engine/cli/cli-plugins/docker-buildx").symlink_to(root / "usr/libexec/docker/cli-plugins/docker-buildx")
    with log.open("ab") as sink:
        argv = ["unshare", "--mount", "sh", "-ec", START, "sh", str(root), person]
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd="/",
            start_new_session=True,  # Ctrl-C must reach only the tests, which need the engine to clean up
        )
    try:
        yield _started(root, process, log, rootless=bool(person))
    finally:
        with interruption.cleaning():
            _end(root, process)


def _started(root: Path, process: "subprocess.Popen[bytes]", log: Path, *, rootless: bool) -> Modern:
    socket = root / "srv/engine/docker.sock"

    def check() -> wait.State:
        if process.poll() is not None or ((root / PID).exists() and not _runs(root)):
            return wait.Failed(f"The engine did not start. Full log: {log}")
        return wait.Done() if hostengine.local(socket) else wait.Pending("no answer")

    wait.until_done(check, EngineError, "The engine did not start", timeout=SECONDS)
    found = hostengine.local(socket)
    return Modern(found.version() if found else "", root, int((root / PID).read_text()), rootless)


def copy_images(settings: Settings, made: Modern, needed: Sequence[Requirement], file: Path) -> None:
    """Copy the needed images and the base image from this machine's engine through `file`. Raises EngineError, ProgramError."""
    found = client.connect()
    images = [need.find(found, settings).reference for need in (*needed, requirements.BASE_IMAGE) if not isinstance(need, File)]
    for name in images:
        if "@" in name:  # a copy would lose the digest
            shell.run(["docker", "pull", name], env=made.variables)
        else:
            found.save([name], file)
            shell.run(["docker", "load", "--input", str(file)], env=made.variables)
            file.unlink()


def _runs(root: Path) -> bool:
    """Return whether the engine of this root file system is running; a zombie's /proc/PID/exe does not exist."""
    return (root / PID).exists() and Path(f"/proc/{(root / PID).read_text().strip()}/exe").exists()


def _end(root: Path, process: "subprocess.Popen[bytes]") -> None:
    """Stop the engine, which stops its containers, and then its network."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _runs(root):
            os.kill(int((root / PID).read_text()), number)
            wait.until(lambda: wait.Pending("it runs") if _runs(root) else wait.Done(), timeout=SECONDS)
    process.terminate()
    process.wait(SECONDS)
    shutil.rmtree(root / "srv", ignore_errors=True)
