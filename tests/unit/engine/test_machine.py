"""What is inferred about an engine's machine. DEBIAN is a recorded answer; the others differ as Docker's documentation says."""

from typing import Any

import pytest

from kubetasks.engine import machine

DEBIAN = {
    "OperatingSystem": "Debian GNU/Linux 12 (bookworm)",
    "SecurityOptions": ["name=seccomp,profile=default"],
    "CgroupVersion": "1",
    **dict.fromkeys(machine.LIMITS, True),
}
ROOTLESS = {**DEBIAN, "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"], "CgroupVersion": "2"}
PROXIED = {**DEBIAN, "HttpsProxy": "http://proxy.example.com:3128"}
DESKTOP = {**DEBIAN, "OperatingSystem": "Docker Desktop", "CgroupVersion": "2"}
BRIDGE, HOST = ({"HostConfig": {"NetworkMode": network}} for network in ("bridge", "host"))
ORBSTACK = {**DEBIAN, "OperatingSystem": "OrbStack", "CgroupVersion": "2"}


@pytest.mark.parametrize(
    ("info", "system", "reached"),
    [
        (DEBIAN, "Linux", True),
        (ROOTLESS, "Linux", False),
        (DESKTOP, "Linux", False),
        ({**DEBIAN, "Name": "colima"}, "Darwin", False),
        (ORBSTACK, "Darwin", True),
    ],
)
def test_only_what_shares_this_machines_network_gets_a_load_balancer(info: dict[str, Any], system: str, reached: bool) -> None:
    assert machine.reaches_containers(info, system) == reached


@pytest.mark.promise("macOS and arm64 may work")
@pytest.mark.parametrize(
    ("info", "container", "why", "hint"),
    [
        (DEBIAN, None, "", ""),
        (DESKTOP, None, "", ""),
        (ROOTLESS, None, "", ""),
        ({**ROOTLESS, "CgroupVersion": "1"}, None, "cgroup v2", "docs/setup.md#rootless"),
        ({**ROOTLESS, "PidsLimit": False}, None, "limit processor, memory and processes", "docs/setup.md#rootless"),
        ({**DEBIAN, "BuildahVersion": "1.39.4"}, None, "Podman", "unset DOCKER_HOST"),
        (DEBIAN, BRIDGE, "a cluster's ports would answer on the engine's machine", "with --network=host"),
        (DEBIAN, HOST, "", ""),
    ],
)
def test_an_engine_that_runs_no_cluster_or_none_that_answers_here_is_refused_with_what_to_do(
    info: dict[str, Any], container: dict[str, Any] | None, why: str, hint: str
) -> None:
    refused = machine.refusal(info, container)
    assert bool(refused) == bool(why)
    if refused:
        assert why in refused[0]
        assert hint in refused[1]


@pytest.mark.parametrize(
    ("info", "proxies", "told"),
    [
        (PROXIED, {"http": "http://proxy.example.com:3128"}, []),
        (DEBIAN, {"https": "http://proxy.example.com:3128"}, ["HTTPS_PROXY is set here, and the engine has no proxy"]),
        (DEBIAN, {}, []),
        (ROOTLESS, {}, ["Containers' addresses do not answer"]),
    ],
)
def test_what_may_go_wrong_is_told_in_a_line_each(info: dict[str, Any], proxies: dict[str, str], told: list[str]) -> None:
    found = machine.cautions(info, proxies)
    assert len(found) == len(told)
    assert all(words in line for words, line in zip(told, found, strict=True))


@pytest.mark.parametrize(
    ("line", "own"),
    [
        (f"600 599 8:1 /var/lib/docker/containers/{'a1' * 32}/hostname /etc/hostname rw - ext4 /dev/vda rw", "a1" * 32),
        (f"600 599 0:49 / /var/lib/docker/containers/{'a1' * 32}/mounts/shm rw - tmpfs shm rw", ""),  # the engine's own machine
        ("22 1 259:1 / / rw,relatime - ext4 /dev/vda rw", ""),
    ],
)
def test_a_container_is_known_by_its_mounts_whatever_its_host_is_called(line: str, own: str) -> None:
    assert machine.container_id(line) == own
