"""A machine as most people have it: Debian sid with systemd, cgroup v2, Docker 28, and a person who is not root. It is emulated.

    python -m ci.machine
    python -m ci.machine rootless
    INVOKE_CLUSTER_NODES=3 python -m ci.machine

With rootless, the engine is the person's own.

It takes some ten minutes: without hardware for virtual machines, the emulation is about ten times slower than this machine.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ci import engines
from ci.engines import PERSON, RELEASE
from hostengine import packages
from hostengine.engine import remove_folder
from kubetasks import providers
from kubetasks.engine import client
from kubetasks.errors import TaskError
from kubetasks.project import settings
from kubetasks.setup.log import new_log
from kubetasks.terminal import shell
from kubetasks.terminal.report import Report
from nodeimages import build, rootfs
from tasks import PROJECT

PROGRAMS = "passwd systemd systemd-sysv udev dbus libpam-systemd linux-image-cloud-amd64 python3 python3-venv git".split()
ROOTLESS = [*engines.ROOTLESS, "dbus-user-session"]
EMULATOR = ["qemu-system-x86"]
SIZE = "16G"
LIMIT = "2h"
# A slow machine: kubeadm waits as long as we do, and the server gets longer probes than in k8s/.
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
/usr/share/docker.io/contrib/dockerd-rootless-setuptool.sh install
"""
# as docs/setup.md says
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
Environment=INVOKE_APP_TIMEOUT=3600 HOME=/home/{person} LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
EnvironmentFile=/etc/job.env
ExecStart=/bin/bash -c 'set -o pipefail; bash /etc/job 2>&1 | cat'
StandardOutput=file:/dev/ttyS0
StandardError=file:/dev/ttyS0
ExecStopPost=+/bin/sh -c 'echo "The job ended with $EXIT_STATUS." > /dev/ttyS0; sync; systemctl poweroff --force --force'
[Install]
WantedBy=multi-user.target
"""
# the engine's own containerd, as while the images were copied, and not the system's
ENGINE = """\
[Service]
ExecStart=
ExecStart=/usr/sbin/dockerd --host=fd://
"""
UNUSED = ("containerd.service", "serial-getty@ttyS0.service")
SYSTEMS = ("docker.service", "docker.socket")
EMULATE = (
    "qemu-system-x86_64 -accel tcg,thread=multi,tb-size=1024 -cpu max -smp 2 -m 8192 -nographic -no-reboot -nic none".split()
)
KERNEL = "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=0 tsc=unstable clocksource=hpet panic=-1 mitigations=off"
ENDED = "The job ended with 0."


def main() -> None:
    report, chosen, rootless = Report(), settings.read(PROJECT, settings.DEFAULTS), sys.argv[1:] == ["rootless"]
    folder = Path(tempfile.mkdtemp(prefix="machine-", dir="/tmp"))
    log, guest, tools = new_log(chosen), folder / "guest", folder / "tools"
    try:
        engines.require_possible()
        with report.step("Creating a machine from Debian packages"):
            packages.install(build.PACKAGES, chosen.cache, log)
            rootfs.make(guest, [*(ROOTLESS if rootless else engines.PACKAGES), *PROGRAMS], log=log, debian=RELEASE)
            rootfs.make(tools, EMULATOR, log=log, debian=RELEASE)
            engines.add_person(guest, log)
        with engines.running(guest, log, PERSON if rootless else "") as engine:
            with report.step("Installing the project and its images"):
                needed = providers.select(chosen, report, client.connect).requirements
                engines.copy_images(chosen, engine, needed, folder / "images.tar")
                _build(engine, folder, log)  # what BuildKit keeps of it makes the build there short
            _install(guest, chosen, log, rootless=rootless)
        shutil.rmtree(guest / "old")
        with report.step("Writing its disk"):
            boot = guest / "boot"
            for name in ("vmlinuz", "initrd.img"):
                shutil.copy(next(boot.glob(f"{name}-*")), tools / name)
            shell.run(["truncate", f"--size={SIZE}", str(folder / "tools" / "disk")], log=log)
            shell.run(["mke2fs", "-q", "-t", "ext4", "-d", str(guest), str(tools / "disk")], log=log)
            remove_folder(guest, log)
        sys.exit(0 if _run(tools) else 1)
    except TaskError as error:
        sys.exit(str(error.message))
    finally:
        remove_folder(folder, log)


def _build(engine: engines.Modern, folder: Path, log: Path) -> None:
    for words in (["build"], ["rmi"]):
        argv = engine.inside([sys.executable, "-m", "kubetasks", *words])
        shell.run(argv, env=engine.variables | {"XDG_CACHE_HOME": str(folder)}, log=log, cwd=PROJECT.folder)


def _install(guest: Path, chosen: settings.Settings, log: Path, *, rootless: bool) -> None:
    """Give the person a clone, its .venv and the programs of setup; and the job."""
    home = guest / "home" / PERSON
    listed = shell.run(["git", "ls-files", "-z"], cwd=PROJECT.folder)
    for name in filter(None, listed.split("\0")):
        (home / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(PROJECT.folder / name, home / "project" / name, follow_symlinks=False)
    for need in providers.select(chosen, Report(), client.connect).requirements:
        file = Path(need.find(None, chosen).reference)
        if file.is_absolute():
            target = home / ".cache" / "kubetasks" / file.relative_to(chosen.cache)
            target.parent.mkdir(parents=True)
            shutil.copy2(file, target)
    theirs = [f"/home/{PERSON}/{name}" for name in ("project", ".cache")]
    shell.run(["chroot", str(guest), "chown", "--recursive", f"{PERSON}:", *theirs], log=log)
    (guest / "etc" / "resolv.conf").write_text(Path("/etc/resolv.conf").read_text())
    first = ["chroot", f"--userspec={PERSON}:{PERSON}", str(guest), "env", f"HOME=/home/{PERSON}"]
    shell.run([*first, f"/home/{PERSON}/project/inv", "--version"], log=log)
    (guest / "etc" / "job").write_text("set -ex\n" + (INSTALL_ROOTLESS if rootless else "") + JOB)
    variables = [f"{name}={value}\n" for name, value in os.environ.items() if name.startswith("INVOKE_")]
    (guest / "etc" / "job.env").write_text("".join(variables))
    (guest / "etc" / "hostname").write_text("machine\n")
    units = guest / "etc" / "systemd" / "system"
    unit = UNIT.format(person=PERSON, engine="user@1000.service" if rootless else SYSTEMS[0])
    for file, text in {
        units / "job.service": unit,
        units / "docker.service.d" / "own.conf": ENGINE,
        **({guest / "etc" / name: text for name, text in FOR_ROOTLESS.items()} if rootless else {}),
    }.items():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    for name in (*UNUSED, *(SYSTEMS if rootless else ())):
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (units / "multi-user.target.wants" / "job.service").symlink_to("/etc/systemd/system/job.service")


def _run(tools: Path) -> bool:
    """Emulate the machine, print what it says, and return whether its job ended well."""
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
            emulator.terminate()
    return ended


if __name__ == "__main__":
    main()
