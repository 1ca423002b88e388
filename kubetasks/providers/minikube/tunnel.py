"""minikube's tunnel: a route from this machine to the addresses of services, for as long as a program runs.

minikube adds the route with sudo, also as root, and removes it if it is interrupted.
"""

import ipaddress
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kubetasks.errors import ClusterError, LeftoverError, SetupError
from kubetasks.terminal import interruption, shell

SERVICES = ipaddress.IPv4Network("10.96.0.0/12")  # the range of service addresses that minikube gives a cluster
ROUTES = Path("/proc/net/route")
CLOSING_SECONDS = 20
RIGHT_SECONDS = 60.0  # sudo forgets a password after some minutes
TAIL_LINES = 8
NO_ERROR = "no errors"


@dataclass(frozen=True)
class Tunnel:
    """An open tunnel; `log` is what minikube prints."""

    process: subprocess.Popen[bytes]
    log: Path

    def problem(self) -> str:
        if self.process.poll() is not None:
            return f"minikube tunnel ended with {self.process.returncode}: {self._tail()}"
        errors = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if ": " in line]
        shown = [line for line in errors[-3:] if line.startswith(("minikube:", "router:", "loadbalancer emulator:"))]
        return "; ".join(line for line in shown if not line.endswith(NO_ERROR))

    def wait(self) -> None:
        while not _ends(self.process, RIGHT_SECONDS):
            # minikube removes the route with sudo too, which would ask for a password again
            subprocess.run(["sudo", "--non-interactive", "--validate"], check=False, capture_output=True)
        raise ClusterError(f"The tunnel ended: {self._tail()}", "./inv status shows whether the cluster runs")

    def _tail(self) -> str:
        return "\n  ".join(self.log.read_text(errors="replace").strip().splitlines()[-TAIL_LINES:])


def require_rights() -> None:
    """Raises SetupError if minikube could not add the route. sudo may ask for a password, on the terminal."""
    if not shutil.which("sudo"):
        raise SetupError("minikube tunnel needs sudo on PATH, also as root.", "As root: apt-get install sudo")
    if shell.show(["sudo", "--validate"]) != 0:
        raise SetupError("The tunnel adds a route, and sudo does not let you.", "sudo --validate must succeed")


def require_free(node: str) -> None:
    """Raises ClusterError if the services' addresses already lead elsewhere than to the node's address."""
    gateway = route(ROUTES.read_text())
    if gateway not in ("", node):
        raise ClusterError(
            f"A route to {SERVICES} exists already, via {gateway}.", f"End the other tunnel; or: sudo ip route delete {SERVICES}"
        )


def route(table: str) -> str:
    """The gateway to the services' addresses in the kernel's table of routes, or ""."""
    for line in table.splitlines()[1:]:
        _device, destination, gateway, *_rest = line.split()
        if _address(destination) == SERVICES.network_address:
            return str(_address(gateway))
    return ""


def _address(text: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(bytes.fromhex(text)[::-1])


@contextmanager
def opened(argv: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[Tunnel]:
    """Run minikube's tunnel until the end of the block. Raises LeftoverError if the route is left."""
    before = route(ROUTES.read_text())
    with log.open("wb") as sink:
        process = subprocess.Popen(
            argv, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT
        )
    interruption.programs.add(process)
    try:
        yield Tunnel(process, log)
    finally:
        _close(process)
        log.unlink(missing_ok=True)
        others = before and (process.returncode or 0) > 0  # minikube has refused a second tunnel: the route is that of the first
        if not others and route(ROUTES.read_text()):
            raise LeftoverError(f"The tunnel is closed, but the route to {SERVICES} is left.", f"sudo ip route delete {SERVICES}")


def _close(process: subprocess.Popen[bytes]) -> None:
    """Interrupt minikube as Ctrl-C does, which it may have seen already; nothing interrupts us until it has ended."""
    with interruption.cleaning():
        process.send_signal(signal.SIGINT)
        if not _ends(process, CLOSING_SECONDS):
            process.kill()
            _ends(process, CLOSING_SECONDS)
        process.poll()
    interruption.programs.discard(process)


def _ends(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Whether the process ends within that time. Popen.wait is no way to know: it waits for ever for a lock, which an
    interruption within poll can leave held.
    """
    if process.returncode is not None:
        return True
    end = os.pidfd_open(process.pid)
    try:
        return bool(select.select([end], [], [], seconds)[0])
    finally:
        os.close(end)
