"""The engine that setup installs and starts: queried at its own socket, stopped the way it was started."""

import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from docker.errors import DockerException

from hostengine import engine as machine_engine
from hostengine import packages
from kubetasks.engine import access, client
from kubetasks.errors import EngineError, SetupError
from kubetasks.setup import receipt
from kubetasks.setup.receipt import Receipt
from tests.unit.configured import configured, door
from tests.unit.failing import raising
from tests.unit.setup.recorded import Programs

# as systemd 252 prints it
ACTIVE = "TriggeredBy=docker.socket\nActiveState=active\n"
INACTIVE = "TriggeredBy=docker.socket\nActiveState=inactive\n"

CONNECT = client.connect


def test_the_local_engine_is_asked_whatever_the_environment_names_and_denied_access_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def denying(_timeout: int, variables: Mapping[str, str]) -> None:
        asked.append(variables["DOCKER_HOST"])
        raise DockerException("('Connection aborted.', PermissionError(13, 'Permission denied'))")  # the SDK's wording

    monkeypatch.setattr(client, "connect", CONNECT)
    monkeypatch.setattr(access, "docker_client", denying)
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    here = tmp_path / "socket"
    assert machine_engine.local(here) is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(here))
        for ask in (client.release, lambda: machine_engine.local(here)):
            with pytest.raises(EngineError, match=r"Permission denied on the container engine's socket(?s:.*)usermod -aG docker"):
                ask()
        assert asked == ["tcp://192.0.2.1:2376", f"unix://{here}"]
        monkeypatch.setattr(access, "docker_client", raising(DockerException("nobody is there")))
        assert machine_engine.local(here) is None


def test_an_engine_under_systemd_is_stopped_with_its_socket_unless_it_does_not_run_any_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(machine_engine, "SYSTEMD", tmp_path)
    programs = Programs(monkeypatch, {"systemctl show": [ACTIVE, ACTIVE, INACTIVE], "systemctl": ""})
    receipt.write(tmp_path, Receipt(packages=["tini"]))
    for runs in (True, False):
        machine_engine.start(tmp_path, door(), tmp_path / "log")
        assert receipt.read(tmp_path).engine_unit == "docker.service"
        assert machine_engine.stop(tmp_path, door()) == runs
        assert receipt.read(tmp_path) == Receipt(packages=["tini"])
    assert not machine_engine.stop(tmp_path, door())
    start, stop = "systemctl start docker.service", "systemctl stop docker.socket docker.service"
    assert [call for call in programs.calls if "show" not in call] == [start, stop, start]


def test_only_a_process_of_the_engine_is_stopped_and_its_exit_code_is_not_waited_for(tmp_path: Path) -> None:
    receipt.write(tmp_path, Receipt(engine_pid=os.getpid()))
    assert not machine_engine.stop(tmp_path, door()), "another program has its number by now"
    assert receipt.read(tmp_path) == Receipt()
    program = tmp_path / "dockerd"
    program.write_text("#!/bin/sh\necho runs\nread _\n")
    program.chmod(0o755)
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()  # until then, the process has another name
        receipt.write(tmp_path, Receipt(engine_pid=process.pid))
        assert machine_engine.stop(tmp_path, door())
    assert process.returncode == -signal.SIGTERM


@pytest.mark.promise("If there is no engine, run `./inv setup` as root")
def test_an_installed_engine_is_recorded_with_the_folders_that_did_not_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "before").mkdir()
    cache, asked = tmp_path / "cache", list[str]()
    monkeypatch.setattr(machine_engine, "SYSTEMD", tmp_path)
    monkeypatch.setattr(machine_engine, "FOLDERS", (str(tmp_path / "before"), str(tmp_path / "new")))
    monkeypatch.setattr(packages, "possible", lambda: True)
    monkeypatch.setattr(packages, "install", lambda names, *_, if_known: asked.extend([*names, *if_known]))
    Programs(monkeypatch, {"systemctl start": ""})
    receipt.write(cache, Receipt(folders=["/earlier"]))
    machine_engine.ensure(configured(cache=cache), door(), tmp_path / "log")
    assert capsys.readouterr().err.startswith("No container engine: installing Debian's docker.io with apt")
    assert receipt.read(cache).folders == ["/earlier", str(tmp_path / "new")]
    assert asked == ["docker.io", "iptables", "ca-certificates", "docker-cli"]


@pytest.mark.promise("Without root, it prints the command")
def test_who_may_not_install_an_engine_is_told_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "possible", lambda: False)
    monkeypatch.setattr(packages, "install", lambda *_, **_more: pytest.fail("nothing may be installed"))
    with pytest.raises(EngineError, match="only root on Debian or Ubuntu") as told:
        machine_engine.ensure(configured(), door(), tmp_path / "log")
    assert told.value.hint.startswith("sudo apt-get install docker.io")


def test_a_folder_that_cannot_be_removed_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    with pytest.raises(SetupError, match="could not be removed"):
        machine_engine.remove_folder(tmp_path / "link", tmp_path / "log")
    assert (tmp_path / "data").exists()
    machine_engine.remove_folder(tmp_path / "data", tmp_path / "log")
    assert not (tmp_path / "data").exists()
