"""The engine that setup starts: asked at its own socket, stopped the way it was started."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from docker.errors import DockerException

from hostengine import engine as machine_engine
from hostengine import packages
from kubetasks.engine import access, client
from kubetasks.engine.client import AbsentError
from kubetasks.errors import EngineError, SetupError
from kubetasks.setup import receipt
from kubetasks.setup.receipt import Receipt
from kubetasks.terminal.report import Report
from tests.unit.configured import configured
from tests.unit.failing import raising
from tests.unit.setup.recorded import Programs

# as systemd 252 prints it
ACTIVE = "TriggeredBy=docker.socket\nActiveState=active\n"
INACTIVE = "TriggeredBy=docker.socket\nActiveState=inactive\n"

CONNECT = client.connect


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Path]:
    """The path of a socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        yield tmp_path / "socket"


def test_the_local_engine_is_asked_whatever_the_environment_names(monkeypatch: pytest.MonkeyPatch, listening: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    asked: list[object] = []

    def connect(**options: object) -> None:
        asked.append(options)
        raise AbsentError("No container engine answers.")

    monkeypatch.setattr(client, "connect", connect)
    assert machine_engine.local(listening) is None
    assert asked == [{"host": f"unix://{listening}"}]


def test_denied_access_is_told_from_an_engine_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, listening: Path) -> None:
    monkeypatch.setattr(client, "connect", CONNECT)
    denied = "('Connection aborted.', PermissionError(13, 'Permission denied'))"  # as the SDK says it
    monkeypatch.setattr(access, "docker_client", raising(DockerException(denied)))
    with pytest.raises(EngineError, match="may not use the container engine's socket") as told:
        client.release()
    assert "usermod -aG docker" in told.value.hint
    with pytest.raises(EngineError, match="may not use"):
        machine_engine.local(listening)
    assert machine_engine.local(listening.with_name("none")) is None


def test_an_engine_under_systemd_is_started_and_stopped_with_its_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine_engine, "SYSTEMD", tmp_path)
    programs = Programs(monkeypatch, {"systemctl show": ACTIVE, "systemctl": ""})
    machine_engine.start(tmp_path, Report(), tmp_path / "log")
    assert receipt.read(tmp_path).engine_unit == "docker.service"
    assert machine_engine.stop(tmp_path, Report())
    assert [call for call in programs.calls if "show" not in call] == [
        "systemctl start docker.service",
        "systemctl stop docker.socket docker.service",
    ]
    assert receipt.read(tmp_path) == Receipt()
    assert not machine_engine.stop(tmp_path, Report())


@pytest.mark.parametrize(
    "started", [{"engine_unit": "docker.service"}, {"engine_pid": os.getpid()}], ids=["unit", "process of another program"]
)
def test_an_engine_that_does_not_run_any_more_is_not_stopped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, started: dict[str, Any]
) -> None:
    programs = Programs(monkeypatch, {"systemctl show": INACTIVE})
    receipt.write(tmp_path, Receipt(packages=["tini"], **started))
    assert not machine_engine.stop(tmp_path, Report())
    assert not programs.called("systemctl stop")
    assert receipt.read(tmp_path) == Receipt(packages=["tini"])


def test_an_engine_that_this_process_started_is_stopped_without_waiting_for_its_exit_code(tmp_path: Path) -> None:
    program = tmp_path / "dockerd"
    program.write_text("#!/bin/sh\necho runs\nread _\n")
    program.chmod(0o755)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()  # only now it has its name
        receipt.write(tmp_path, Receipt(engine_pid=process.pid))
        assert machine_engine.stop(tmp_path, Report())
    assert process.returncode == -signal.SIGTERM


def test_without_a_cache_there_is_nothing_to_stop_and_none_is_made(tmp_path: Path) -> None:
    assert not machine_engine.stop(tmp_path / "cache", Report())
    assert not (tmp_path / "cache").exists()


@pytest.mark.promise("If there is no engine, run `./inv setup` as root")
def test_an_installed_engine_is_recorded_with_the_folders_that_did_not_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "before").mkdir()
    cache, asked = tmp_path / "cache", list[str]()
    monkeypatch.setattr(machine_engine, "SYSTEMD", tmp_path)
    monkeypatch.setattr(machine_engine, "FOLDERS", (str(tmp_path / "before"), str(tmp_path / "new")))
    monkeypatch.setattr(packages, "possible", lambda: True)

    def installed(names: Sequence[str], *_: object, if_known: Sequence[str]) -> None:
        said_first = capsys.readouterr().err
        assert said_first.startswith("No container engine: installing Debian's docker.io with apt")
        asked.extend([*names, *if_known])

    monkeypatch.setattr(packages, "install", installed)
    Programs(monkeypatch, {"systemctl start": ""})
    receipt.write(cache, Receipt(folders=["/earlier"]))
    machine_engine.ensure(configured(cache=cache), Report(), tmp_path / "log")
    assert receipt.read(cache).folders == ["/earlier", str(tmp_path / "new")]
    assert asked == ["docker.io", "iptables", "ca-certificates", "docker-cli"]


@pytest.mark.promise("Without root, it prints the command")
def test_who_may_not_install_an_engine_is_told_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "possible", lambda: False)
    monkeypatch.setattr(packages, "install", lambda *_, **_more: pytest.fail("nothing may be installed"))
    with pytest.raises(EngineError, match="only root on Debian or Ubuntu") as told:
        machine_engine.ensure(configured(), Report(), tmp_path / "log")
    assert told.value.hint.startswith("sudo apt-get install docker.io")


def test_a_folder_that_cannot_be_removed_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(SetupError, match="could not be removed"):
        machine_engine.remove_folder(tmp_path / "link", tmp_path / "log")
    assert (tmp_path / "data").exists()
    machine_engine.remove_folder(tmp_path / "data", tmp_path / "log")
    assert not (tmp_path / "data").exists()
