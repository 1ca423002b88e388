"""Which container engine is used, and the error if it cannot be."""

import hashlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import DockerException, NotFound

from kubetasks import providers
from kubetasks.engine import access, client
from kubetasks.engine.client import AbsentError
from kubetasks.errors import EngineError
from kubetasks.project.labels import TOOL
from tests.unit.configured import configured, door
from tests.unit.engine.conftest import Script
from tests.unit.failing import raising

BEFORE = "tcp://192.0.2.1:2375"


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", access.NODE_VARIABLE, access.BEFORE_VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("before", ["", BEFORE])
def test_after_docker_env_builds_go_to_the_node_and_nodes_are_found_as_before(
    monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    asked: list[str] = []

    def connected(_timeout: int, variables: Mapping[str, str]) -> Any:
        asked.append(variables.get("DOCKER_HOST", ""))

    monkeypatch.setattr(access, "docker_client", connected)
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv(access.NODE_VARIABLE, "demo")
    monkeypatch.setenv(access.BEFORE_VARIABLE, before)
    client.connect()
    client.connect(variables=os.environ)
    client.connect(variables={"DOCKER_HOST": "unix:///other.sock"})
    assert asked == [before, "tcp://127.0.0.1:2376", "unix:///other.sock"]
    assert access.named() == ("DOCKER_HOST" if before else "")


def test_dockers_current_context_is_followed_and_one_that_cannot_be_is_not_taken_for_this_machines_engine(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = os.environ["DOCKER_HOST"]
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "elsewhere"}))
    monkeypatch.setenv("DOCKER_CONTEXT", "another")
    with pytest.raises(EngineError, match="There is no docker context another") as raised:
        client.connect()
    assert "docker context ls" in raised.value.hint

    monkeypatch.delenv("DOCKER_CONTEXT")
    described = tmp_path / "contexts" / "meta" / hashlib.sha256(b"elsewhere").hexdigest() / "meta.json"
    described.parent.mkdir(parents=True)
    described.write_text("{")
    with pytest.raises(EngineError, match="docker context elsewhere cannot be read"):
        client.connect()

    described.write_text(json.dumps({"Name": "elsewhere", "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}))
    script.expected = [("GET /version", 200, {"Version": "28.0.4"})]
    assert client.release() == "28.0.4"


def test_one_that_accepts_and_does_not_answer_is_none(tmp_path: Path) -> None:
    address = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(address)
        mute.listen()
        with pytest.raises(EngineError, match="No container engine answers"):
            client.connect(1, {"DOCKER_HOST": f"unix://{address}"})


def test_one_that_is_too_old_is_said_and_not_taken_for_none(script: Script) -> None:
    script.version = "1.12"
    for ask in (client.connect, client.release):
        with pytest.raises(EngineError, match="too old: it has API") as raised:
            ask()
        assert raised.value.hint == "Update it"


def test_why_one_that_was_named_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "docker_client", raising(DockerException("Install paramiko package to enable ssh:// support")))
    monkeypatch.setenv("DOCKER_HOST", "ssh://192.0.2.1")
    with pytest.raises(AbsentError, match=r"answers \(DOCKER_HOST\): Install paramiko"):
        client.connect()
    assert client.release() is None


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http+docker://localhost", True),  # the SDK's base URL for unix:///var/run/docker.sock
        ("http://127.0.0.1:2375", True),
        ("http+docker://ssh", False),
        ("https://192.0.2.1:2376", False),
    ],
)
def test_a_cluster_is_not_created_in_an_engine_on_another_machine(address: str, here: bool) -> None:
    containers = SimpleNamespace(get=raising(NotFound("this machine")))
    sdk: Any = SimpleNamespace(api=SimpleNamespace(base_url=address), info=dict, containers=containers)
    found = client.Engine(sdk, {}, TOOL)
    if here:
        found.require_usable()
        return
    for provider in ("kind", "minikube"):
        with pytest.raises(EngineError, match="on another machine"):
            providers.lifecycle(providers.select(configured(provider=provider), door(), lambda: found)).start()
