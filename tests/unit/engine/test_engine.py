"""Which container engine is used: for builds docker's own, for the nodes always that of the machine."""

import os
from collections.abc import Mapping
from types import SimpleNamespace

import pytest

from kubetasks.engine import access, client
from kubetasks.project.labels import TOOL


class Client:
    """Stands for docker.DockerClient."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hosts that were connected to; "" is the one that docker itself uses."""
    hosts: list[str] = []

    def client(_timeout: int, access: Mapping[str, str]) -> Client:
        hosts.append(access.get("DOCKER_HOST", ""))
        return Client()

    monkeypatch.setattr(access, "docker_client", client)
    for name in (access.NODE_VARIABLE, access.BEFORE_VARIABLE, "DOCKER_HOST"):
        monkeypatch.delenv(name, raising=False)
    return hosts


def test_after_docker_env_builds_go_to_the_node_and_nodes_are_found_as_before(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client.connect()
    client.connect_to(TOOL, os.environ, "", "")
    monkeypatch.setenv(access.NODE_VARIABLE, "demo")
    client.connect()
    client.connect_to(TOOL, os.environ, "", "")
    monkeypatch.setenv(access.BEFORE_VARIABLE, "tcp://elsewhere:2375")
    client.connect()
    client.connect(host="unix:///other.sock")
    assert asked == ["", "", "", "", "tcp://elsewhere:2375", "unix:///other.sock"]


def test_an_image_that_has_only_a_digest_is_named_by_it() -> None:
    digest = "127.0.0.1:5000/simple-server@sha256:0123"
    found = [
        {"RepoTags": ["simple-server:v1"], "RepoDigests": [digest]},
        {"RepoTags": None, "RepoDigests": [digest]},
        {"RepoTags": ["simple-server-base:1"], "RepoDigests": None},
        {"RepoTags": None, "RepoDigests": None},
    ]
    sdk = SimpleNamespace(api=SimpleNamespace(images=lambda **_: found))
    assert client.Engine(sdk, {}, TOOL).image_tags("simple-server") == [digest, "simple-server:v1"]  # type: ignore[arg-type]
