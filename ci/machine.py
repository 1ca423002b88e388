"""An emulated machine as most people have it: Debian sid with systemd, cgroup v2, Docker 28, and a user who is not root.

    python -m ci.machine
    python -m ci.machine rootless
    INVOKE_CLUSTER_NODES=3 python -m ci.machine
    INVOKE_CLUSTER_PROVIDER=minikube python -m ci.machine

With rootless, the engine is the user's own. It takes about ten minutes: without hardware virtualization, the emulation is about
ten times slower than this machine.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tenacity

from ci import engines
from ci.engines import PERSON, RELEASE
from hostengine import packages
from hostengine.engine import remove_folder
from kubetasks import providers
from kubetasks.__main__ import handle_signals
from kubetasks.engine import client
from kubetasks.errors import TaskError
from kubetasks.project.settings import Settings
from kubetasks.setup.log import new_log
from kubetasks.setup.requirements import Requirement
from kubetasks.terminal import interruption, shell
from kubetasks.terminal.door import Door
from kubetasks.terminal.report import Report
from kubetasks.testing.cluster import Cluster
from nodeimages import build, rootfs
from tasks import PROJECT

PROGRAMS = "passwd systemd systemd-sysv udev dbus libpam-systemd linux-image-cloud-amd64 python3 python3-venv git".split()
ROOTLESS = [*engines.ROOTLESS, "dbus-user-session"]
EMULATOR = ["qemu-system-x86"]
SIZE = "16G"
LIMIT = "2h"
TIMEOUT = {"INVOKE_APP_TIMEOUT": "3600"}
# The machine is slow: kubeadm waits as long as these tasks do, and the probes get a longer timeout than in k8s/.
JOB = """\
cat /proc/version; stat --format=%T --file-system /sys/fs/cgroup; id; docker info --format '{{.CgroupVersion}} {{.CgroupDriver}}'
sed -i 's/timeoutSeconds: .*/timeoutSeconds: 30/' k8s/deployment.yaml
for task in doctor start build deploy expose scale traffic 'clean --all'; do
    date +%T
    ./inv $task
done
"""
INSTALL_ROOTLESS = """\
export XDG_RUNTIME_DIR=/run/user/$(id -u)
dockerd-rootless-setuptool.sh install
"""
# as in docs/setup.md; Docker's own script requires nf_tables
FOR_ROOTLESS = {
    "systemd/system/user@.service.d/delegate.conf": "[Service]\nDelegate=cpu cpuset io memory pids\n",
    "modules-load.d/rootless.conf": "ip_tables\niptable_nat\nip6_tables\nip6table_nat\nnf_tables\n",
}
UNIT = """\
[Unit]
Requires={engine}
After={engine}
[Service]
Type=oneshot
User={person}
WorkingDirectory=/home/{person}/project
Environment=HOME=/home/{person} LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
EnvironmentFile=/etc/job.env
ExecStart=/bin/bash -c 'set -o pipefail; bash /etc/job 2>&1 | cat'
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
ExecStopPost=+/bin/sh -c 'echo "The job ended with $EXIT_STATUS." > /dev/ttyS0; sync; systemctl poweroff --force --force'
[Install]
WantedBy=multi-user.target
"""
# use the engine's own containerd, as when the images were copied, instead of the system's
ENGINE = """\
[Service]
ExecStart=
ExecStart=/usr/sbin/dockerd --host=fd://
"""
PROGRAMS_OF_ROOTLESS = ("dockerd-rootless.sh", "dockerd-rootless-setuptool.sh")
UNUSED = ("containerd.service", "serial-getty@ttyS0.service")
SYSTEMS = ("docker.service", "docker.socket")
EMULATE = (
    "qemu-system-x86_64 -accel tcg,thread=multi,tb-size=1024 -cpu max -smp 2 -m 8192 -nographic -no-reboot -nic none".split()
)
KERNEL = "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 tsc=unstable clocksource=hpet panic=-1 mitigations=off"
ENDED = "The job ended with 0."


def main() -> None:
    handle_signals()
    do, chosen, rootless = Door(Report()), Cluster(PROJECT, {}).settings, sys.argv[1:] == ["rootless"]
    folder = Path(tempfile.mkdtemp(prefix="machine-", dir="/tmp"))
    log, guest, tools = new_log(chosen.cache), folder / "guest", folder / "tools"
    try:
        engines.require_possible()
        with do.step("Creating a machine from Debian packages"):
            packages.install(build.PACKAGES, chosen.cache, log)
            rootfs.make(guest, [*(ROOTLESS if rootless else engines.PACKAGES), *PROGRAMS], log=log, debian=RELEASE)
            rootfs.make(tools, EMULATOR, log=log, debian=RELEASE)
            engines.add_person(guest, log)
        running = engines.running(guest, log, PERSON if rootless else "")
        with running as engine, do.step("Installing the project and its images"):
            needed = providers.select(chosen, do, client.connect).requirements
            _install(guest, chosen, needed, log)
            engines.copy_images(chosen, engine, needed, folder / "images.tar")
            _build(engine, guest / "home" / PERSON / "project", log)
        _configure(guest / "etc", rootless=rootless)
        shutil.rmtree(guest / "old")
        with do.step("Writing its disk"):
            boot = guest / "boot"
            for name in ("vmlinuz", "initrd.img"):
                shutil.copy(next(boot.glob(f"{name}-*")), tools / name)
            shell.run(["truncate", f"--size={SIZE}", str(folder / "tools" / "disk")], log=log)
            shell.run(["mke2fs", "-q", "-t", "ext4", "-d", str(guest), str(tools / "disk")], log=log)
            remove_folder(guest, log)
        sys.exit(0 if _run(tools) else 1)
    except TaskError as error:
        sys.exit(str(error.message))
    except KeyboardInterrupt:
        sys.exit(interruption.EXIT_CODE)
    finally:
        with interruption.cleaning():
            # again: a program that an interruption left running there, such as pip, ends once its files are gone
            retrying = tenacity.Retrying(stop=tenacity.stop_after_delay(30), wait=tenacity.wait_fixed(1), reraise=True)
            retrying(remove_folder, folder, log)


def _build(engine: engines.Modern, clone: Path, log: Path) -> None:
    """Fill BuildKit's cache, so that the build on the emulated machine is short."""
    for word in ("build", "rmi"):
        argv = engine.inside([sys.executable, "-B", "-m", "kubetasks", word])
        shell.run(argv, env=engine.variables | {"XDG_CACHE_HOME": str(clone / ".state")}, log=log, cwd=clone)
    shutil.rmtree(clone / ".state", ignore_errors=True)


def _install(guest: Path, chosen: Settings, needed: Sequence[Requirement], log: Path) -> None:
    """Give the user a clone of the last commit with its .venv, and the programs that setup installed."""
    home = Path("home") / PERSON
    shell.run(["git", "clone", "--quiet", "--depth=1", f"file://{PROJECT.folder}", str(guest / home / "project")], log=log)
    for need in needed:
        file = Path(need.find(None, chosen).reference)
        if file.is_absolute():
            target = guest / home / ".cache" / "kubetasks" / file.relative_to(chosen.cache)
            target.parent.mkdir(parents=True)
            shutil.copy2(file, target)
    theirs = [f"/{home / name}" for name in ("project", ".cache")]
    shell.run(["chroot", str(guest), "chown", "--recursive", f"{PERSON}:", *theirs], log=log)
    shutil.copy("/etc/resolv.conf", guest / "etc")
    first = ["chroot", f"--userspec={PERSON}:{PERSON}", str(guest), "env", f"HOME=/{home}"]
    shell.run([*first, f"{theirs[0]}/inv", "--version"], log=log)


def _configure(etc: Path, *, rootless: bool) -> None:
    """Make systemd run the job once the engine is up."""
    engine = "user@1000.service" if rootless else "docker.service"
    given = {name: value for name, value in os.environ.items() if name.startswith("INVOKE_")} | TIMEOUT
    files = {
        "hostname": "machine\n",
        "job": "set -ex\n" + (INSTALL_ROOTLESS if rootless else "") + JOB,
        "job.env": "".join(f"{name}={value}\n" for name, value in given.items()),
        "systemd/system/job.service": UNIT.format(person=PERSON, engine=engine),
        "systemd/system/docker.service.d/own.conf": ENGINE,
        **(FOR_ROOTLESS if rootless else {}),
    }
    links = {f"systemd/system/{name}": "/dev/null" for name in (*UNUSED, *(SYSTEMS if rootless else ()))}
    links["systemd/system/multi-user.target.wants/job.service"] = "/etc/systemd/system/job.service"
    if rootless:  # Docker's own packages have them on PATH
        links |= {f"../usr/bin/{name}": f"/usr/share/docker.io/contrib/{name}" for name in PROGRAMS_OF_ROOTLESS}
    for name, text in files.items():
        (etc / name).parent.mkdir(exist_ok=True)
        (etc / name).write_text(text)
    for name, target in links.items():
        (etc / name).unlink(missing_ok=True)
        (etc / name).symlink_to(target)


def _run(tools: Path) -> bool:
    """Emulate the machine, print its console output, and return whether its job succeeded."""
    argv = ["timeout", LIMIT, "chroot", str(tools), *EMULATE, "-kernel", "/vmlinuz", "-initrd", "/initrd.img", "-append", KERNEL]
    argv += ["-drive", "file=/disk,format=raw,if=virtio,cache=unsafe"]
    ended = False
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace") as emulator:
        try:
            for line in emulator.stdout or ():
                sys.stdout.write(line)
                sys.stdout.flush()
                ended |= line.strip() == ENDED
        finally:
            with interruption.cleaning():
                emulator.terminate()
    return ended


if __name__ == "__main__":
    main()
