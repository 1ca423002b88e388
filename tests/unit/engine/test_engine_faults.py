"""An engine that is too old, that accepts and does not answer, or that ends in the middle of a build: a server on a socket."""

import hashlib
import http.server
import io
import json
import os
import re
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import DockerException, NotFound

from kubetasks.engine import access, client
from kubetasks.engine.client import AbsentError, BuildKitNeededError
from kubetasks.errors import EngineError, ImageError
from kubetasks.project.labels import TOOL
from kubetasks.providers.kind.provider import Kind
from kubetasks.providers.minikube.provider import Minikube
from kubetasks.terminal.report import Report
from tests.unit.configured import configured

STEP = json.dumps({"stream": "Step 1/2 : FROM base"}) + "\n"
FAILED = json.dumps({"error": "write /layer: no space left on device"}) + "\n"


class Engine(http.server.BaseHTTPRequestHandler):
    """Answers /_ping, and a build with the chunks `says`; then it ends the answer, or the connection if it `dies`.

    A build that it `refuses`, with these words and that status, does not begin.
    """

    protocol_version = "HTTP/1.1"
    version = "1.41"
    says: tuple[str, ...] = ()
    refuses = ""
    status = 400
    dies = False
    mute = threading.Event()  # set: it answers nothing

    def do_GET(self) -> None:
        if self.mute.is_set():
            self.rfile.read(1)  # until the client gives up
            return
        self.send_response(200)
        self.send_header("Api-Version", self.version)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        if self.refuses:
            answer = json.dumps({"message": self.refuses}).encode()
            self.send_response(self.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in self.says:
            self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode())
        if not self.dies:
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True

    def address_string(self) -> str:
        return "the test"

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[type[Engine]], None]]:
    """Start an engine on a socket that DOCKER_HOST names."""
    address = tmp_path / "docker.sock"
    servers: list[socketserver.BaseServer] = []

    def starts(kind: type[Engine]) -> None:
        server = socketserver.ThreadingUnixStreamServer(str(address), kind)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

    monkeypatch.setenv("DOCKER_HOST", f"unix://{address}")
    yield starts
    for server in servers:
        server.shutdown()
        server.server_close()


def build() -> None:
    client.connect().build(io.BytesIO(bytes(1024)), ["simple-server:1"], {}, lambda _line: None)


def test_one_that_accepts_and_does_not_answer_is_none(start: Callable[[type[Engine]], None]) -> None:
    class Mute(Engine):
        mute = threading.Event()

    Mute.mute.set()
    start(Mute)
    with pytest.raises(EngineError, match="No container engine answers"):
        client.connect(timeout=1)


def test_one_that_is_too_old_is_said_and_not_taken_for_none(start: Callable[[type[Engine]], None]) -> None:
    class Old(Engine):
        version = "1.12"

    start(Old)
    for ask in (client.connect, client.release):
        with pytest.raises(EngineError, match="too old: it has API") as raised:
            ask()
        assert raised.value.hint == "Update it"


def test_why_one_that_was_named_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise DockerException("Install paramiko package to enable ssh:// support")  # as the SDK says it

    monkeypatch.setattr(access, "docker_client", refuses)
    monkeypatch.setenv("DOCKER_HOST", "ssh://192.0.2.1")
    with pytest.raises(AbsentError, match=r"answers \(DOCKER_HOST\): Install paramiko"):
        client.connect()
    assert client.release() is None


def test_why_one_that_was_named_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(AbsentError, match=r"^.*No container engine answers \(DOCKER_HOST\): Connection refused\."):
        client.connect()


def nothing(name: str) -> None:
    raise NotFound(name)


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("http+docker://localhost", True),  # what the SDK makes of unix:///var/run/docker.sock
        ("http://127.0.0.1:2375", True),
        ("http+docker://ssh", False),
        ("https://192.0.2.1:2376", False),
    ],
)
def test_a_cluster_is_not_created_in_an_engine_on_another_machine(address: str, here: bool) -> None:
    sdk: Any = SimpleNamespace(api=SimpleNamespace(base_url=address), info=dict, containers=SimpleNamespace(get=nothing))
    found = client.Engine(sdk, {}, TOOL)
    with nullcontext() if here else pytest.raises(EngineError, match="on another machine"):
        found.require_usable()
    if not here:
        for provider in (Kind, Minikube):
            with pytest.raises(EngineError, match="on another machine"):
                provider(configured(), Report(), lambda: found).start()


def test_one_that_ends_during_a_build_is_one_sentence(start: Callable[[type[Engine]], None]) -> None:
    class Dying(Engine):
        says = (STEP,)
        dies = True

    start(Dying)
    with pytest.raises(EngineError, match="Building simple-server:1 failed") as raised:
        build()
    assert "doctor" in raised.value.hint


def test_a_full_disk_is_told_with_the_step(start: Callable[[type[Engine]], None]) -> None:
    class Full(Engine):
        says = (STEP, FAILED)

    start(Full)
    with pytest.raises(ImageError, match="no space left on device") as raised:
        build()
    assert "Step 1/2 : FROM base" in raised.value.sentence


def test_a_dockerfile_that_cannot_be_read_is_a_failed_build(start: Callable[[type[Engine]], None]) -> None:
    class Refusing(Engine):
        refuses = "dockerfile parse error line 2: unknown instruction: FORM"

    start(Refusing)
    with pytest.raises(ImageError, match="Building simple-server:1 failed: dockerfile parse error line 2"):
        build()


@pytest.mark.parametrize(
    ("answer", "words"),
    [(400, "the --mount option requires BuildKit"), (404, "page not found"), (501, "the classic builder has been removed")],
)
def test_what_only_buildkit_can_build_is_told_from_what_nobody_can(
    start: Callable[[type[Engine]], None], answer: int, words: str
) -> None:
    class Refusing(Engine):
        refuses, status = words, answer

    start(Refusing)
    with pytest.raises(BuildKitNeededError, match=words):
        build()


def test_the_colors_of_a_program_are_not_shown(start: Callable[[type[Engine]], None]) -> None:
    class Colored(Engine):
        says = (json.dumps({"stream": "\x1b[31mred\x1b[0m"}) + "\n", FAILED)

    start(Colored)
    with pytest.raises(ImageError) as raised:
        build()
    assert raised.value.sentence.endswith("\n  red")


def test_without_docker_host_dockers_current_context_is_followed(
    start: Callable[[type[Engine]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(Engine)
    host = os.environ["DOCKER_HOST"]
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "elsewhere"}))
    folder = tmp_path / "contexts" / "meta" / hashlib.sha256(b"elsewhere").hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps({"Name": "elsewhere", "Metadata": {}, "Endpoints": {"docker": {"Host": host}}}))
    build()


def test_a_context_that_is_not_there_or_cannot_be_read_is_not_taken_for_this_machines_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONTEXT", "elsewhere")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EngineError, match="There is no docker context elsewhere") as raised:
        client.connect()
    assert "docker context ls" in raised.value.hint
    folder = tmp_path / "contexts" / "meta" / hashlib.sha256(b"elsewhere").hexdigest()
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text("{")
    with pytest.raises(EngineError, match="the docker context elsewhere says cannot be read"):
        client.connect()


@pytest.mark.parametrize(("before", "named"), [("", ""), ("tcp://192.0.2.1:2375", "DOCKER_HOST")])
def test_in_a_shell_of_docker_env_the_engine_from_before_is_meant(
    monkeypatch: pytest.MonkeyPatch, before: str, named: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv(access.NODE_VARIABLE, "simple-server")
    monkeypatch.setenv(access.BEFORE_VARIABLE, before)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    assert access.named() == named


def test_a_command_in_a_node_that_never_ends_is_given_up_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "NODE_SECONDS", 0.01)
    never = threading.Event()
    node: Any = SimpleNamespace(name="node", exec_run=lambda *_words, **_given: never.wait())
    engine = client.Engine(None, {}, TOOL)  # type: ignore[arg-type]
    with pytest.raises(EngineError, match=re.escape("`ctr images ls` in node has not ended after 0 s.")):
        engine.run_in(node, "ctr", "images", "ls")
    never.set()
