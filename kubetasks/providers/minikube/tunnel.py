"""minikube's tunnel: a route from this machine to the addresses of services, for as long as a program runs.

minikube adds the route with sudo, also as root, and removes it if it is interrupted.
"""

import ipaddress
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubetasks.errors import ClusterError, LeftoverError, SetupError
from kubetasks.project.words import INV
from kubetasks.terminal import shell

SERVICES = ipaddress.IPv4Network("10.96.0.0/12")  # the range of service addresses that minikube gives a cluster
ROUTES = Path("/proc/net/route")


def keep(argv: Sequence[str], environment: Mapping[str, str], node: str) -> None:
    """Run minikube's tunnel to that node's address in this terminal, until Ctrl-C, which raises KeyboardInterrupt.

    Raises SetupError or ClusterError if it cannot begin or ends by itself, LeftoverError if its route is left.
    """
    if not shutil.which("sudo"):
        raise SetupError("minikube tunnel needs sudo on PATH, also as root.", "As root: apt-get install sudo")
    before = route(_routes())
    if before not in ("", node):
        raise ClusterError(
            f"A route to {SERVICES} exists already, via {before}.", f"End the other tunnel; or: sudo ip route delete {SERVICES}"
        )
    code = 0
    try:
        code = shell.show(argv, env=environment)
    finally:
        refused = code and before  # a second tunnel: the route is that of the first
        if not refused and route(_routes()):
            raise LeftoverError(f"The tunnel is closed, but the route to {SERVICES} is left.", f"sudo ip route delete {SERVICES}")
    raise ClusterError(f"minikube tunnel ended with {code}.", f"{INV} status shows whether the cluster runs")


def _routes() -> str:
    return ROUTES.read_text() if ROUTES.exists() else ""  # only Linux tells in a file


def route(table: str) -> str:
    """The gateway to the services' addresses in the kernel's table of routes, or ""."""
    for line in table.splitlines()[1:]:
        _device, destination, gateway, *_rest = line.split()
        if _address(destination) == SERVICES.network_address:
            return str(_address(gateway))
    return ""


def _address(text: str) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(bytes.fromhex(text)[::-1])
