"""The machine that an engine runs on: pure functions of the engine's answer to GET /info.

The fields: https://docs.docker.com/reference/api/engine/version/v1.43/#tag/System/operation/SystemInfo
"""

import platform
import re
from collections.abc import Mapping
from typing import Any

from kubetasks.project.words import DOCS, INV

Info = Mapping[str, Any]

DESKTOP = "Docker Desktop"  # runs in a virtual machine, on Linux too
ORBSTACK = "OrbStack"  # runs in one on macOS, with a route to its containers
LIMITS = ("MemoryLimit", "PidsLimit", "CPUShares")  # limits that a rootless kubelet must be allowed to set


def container_id(mounts: str) -> str:
    """Return the id of the container that a process runs in, from its /proc/self/mountinfo, or "" if it runs in none."""
    mount = re.search(r"/containers/([0-9a-f]{64})/hostname /etc/hostname ", mounts)
    return mount[1] if mount else ""


def is_rootless(info: Info) -> bool:
    """Return whether the engine runs without root privileges."""
    return any("name=rootless" in option for option in info.get("SecurityOptions") or ())


def reaches_containers(info: Info, system: str = platform.system()) -> bool:
    """Return whether this machine reaches the containers' own addresses, and not only their mapped ports."""
    if system != "Linux":
        return info.get("OperatingSystem") == ORBSTACK
    return info.get("OperatingSystem") != DESKTOP and not is_rootless(info)


def refusal(info: Info, container: Mapping[str, Any] | None) -> tuple[str, str] | None:
    """Return why no cluster can run or be reached, and a remedy, or None if nothing is known to prevent it.

    `container` describes the engine's container that this process runs in, or is None.
    """
    if "BuildahVersion" in info:
        return (
            "The container engine is Podman, and clusters run on Docker's alone.",
            "unset DOCKER_HOST; docker context ls",
        )
    other = f"{DOCS}/setup.md#rootless; or, for the engine that runs as root: unset DOCKER_HOST; docker context use default"
    if is_rootless(info) and info.get("CgroupVersion") != "2":
        return "The engine is rootless, and that needs cgroup v2 to run a node.", other
    if is_rootless(info) and not all(info.get(limit) for limit in LIMITS):
        return "The engine is rootless, and systemd does not let it limit processor, memory and processes.", other
    if container and container["HostConfig"]["NetworkMode"] != "host":
        return (
            "This is a container of the engine, and a cluster's ports would answer on the engine's machine alone.",
            "Run this container with --network=host",
        )
    return None


def cautions(info: Info, proxies: Mapping[str, str]) -> list[str]:
    """Return possible causes of failure, each with a remedy; `proxies` are the environment's, by scheme."""
    found = []
    if not reaches_containers(info):
        found.append(f"Containers' addresses do not answer here: a kind service answers at 127.0.0.1; minikube: {INV} tunnel.")
    named = [f"{scheme.upper()}_PROXY" for scheme, url in proxies.items() if scheme in ("http", "https") and url]
    if named and not info.get("HttpProxy") and not info.get("HttpsProxy"):
        found.append(f"{named[0]} is set here, and the engine has no proxy to pull images through: {DOCS}/setup.md#a-proxy")
    return found
