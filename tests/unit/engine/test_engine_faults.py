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
from kubetasks.engine.client import AbsentError, BuildKitNeededError, LayerGoneError
from kubetasks.errors import EngineError, ImageError, TaskError
from kubetasks.project.labels import TOOL
from kubetasks.providers.kind.provider import Kind
from kubetasks.providers.minikube.provider import Minikube
from kubetasks.terminal.report import Report
from tests.unit.configured import configured
from tests.unit.failing import raising

STEP = json.dumps({"stream": "Step 1/2 : FROM base"}) + "\n"
RED = json.dumps({"stream": "\x1b[31mred\x1b[0m"}) + "\n"
FAILED = json.dumps({"error": "write /layer: no space left on device"}) + "\n"
LAYER = json.dumps({"error": f"failed to get digest sha256:{64 * '0'}: no such file or directory"}) + "\n"


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
    mute = False  # it answers nothing

    def do_GET(self) -> None:
        if self.mute:
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


Start = Callable[..., None]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start an engine with these attributes on a socket that DOCKER_HOST names."""
    address = tmp_path / "docker.sock"
    servers: list[socketserver.BaseServer] = []

    def starts(**attributes: object) -> None:
        server = socketserver.ThreadingUnixStreamServer(str(address), type("Engine", (Engine,), attributes))
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


def test_one_that_accepts_and_does_not_answer_is_none(start: Start) -> None:
    start(mute=True)
    with pytest.raises(EngineError, match="No container engine answers"):
        client.connect(timeout=1)


def test_one_that_is_too_old_is_said_and_not_taken_for_none(start: Start) -> None:
    start(version="1.12")
    for ask in (client.connect, client.release):
        with pytest.raises(EngineError, match="too old: it has API") as raised:
            ask()
        assert raised.value.hint == "Update it"


@pytest.mark.parametrize(
    ("engine", "error", "sentence"),
    [
        ({"says": (STEP,), "dies": True}, EngineError, "Building simple-server:1 failed"),
        ({"says": (STEP, FAILED)}, ImageError, r"(?s)no space left on device.*Step 1/2 : FROM base"),
        ({"says": (RED, FAILED)}, ImageError, r"\n  red\n"),
        ({"refuses": "dockerfile parse error line 2"}, ImageError, "Building simple-server:1 failed: dockerfile parse error"),
        ({"refuses": "the --mount option requires BuildKit"}, BuildKitNeededError, "--mount"),
        ({"says": (STEP, LAYER)}, LayerGoneError, "failed to get digest"),
        ({"refuses": "page not found", "status": 404}, BuildKitNeededError, "page not found"),
        ({"refuses": "it has been removed", "status": 501}, BuildKitNeededError, "it has been removed"),
    ],
    ids="dies,full disk,colors,broken Dockerfile,needs BuildKit,cached layer gone,no classic builder,no longer".split(","),
)
def test_a_build_that_fails_is_told_as_what_it_is(
    start: Start, engine: dict[str, Any], error: type[TaskError], sentence: str
) -> None:
    start(**engine)
    with pytest.raises(error, match=sentence) as raised:
        build()
    assert type(raised.value) is error
    assert error is not EngineError or "doctor" in raised.value.hint


def test_why_one_that_was_named_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "docker_client", raising(DockerException("Install paramiko package to enable ssh:// support")))
    monkeypatch.setenv("DOCKER_HOST", "ssh://192.0.2.1")
    with pytest.raises(AbsentError, match=r"answers \(DOCKER_HOST\): Install paramiko"):
        client.connect()
    assert client.release() is None


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


def test_without_docker_host_dockers_current_context_is_followed(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
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
