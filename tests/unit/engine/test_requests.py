"""What the engine is asked, and what is made of its answers: a server on a socket that expects exactly these requests."""

import http.server
import io
import json
import socketserver
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import docker
import pytest

from kubetasks.engine.client import Created, Engine
from kubetasks.errors import EngineError, ImageError
from kubetasks.project.labels import OWNER_LABEL, TOOL, Owner

DIGEST = f"sha256:{'0' * 64}"
IMAGE = {"Id": "sha256:1", "Os": "linux", "Architecture": "arm64", "Variant": "v8", "RepoDigests": [f"host:5000/app@{DIGEST}"]}
CONTAINER = {"Id": "c1", "Name": "/one", "State": {"Status": "running"}, "Config": {"Labels": {}}}

Exchange = tuple[str, int, Any]  # method, path and query; status; answer
Row = tuple[Callable[[Engine], Any], list[Exchange], Any]  # what is called, what is asked, the result


class Script:
    """The requests that are expected, each with its answer, and the bodies that came."""

    def __init__(self) -> None:
        self.expected: list[Exchange] = []
        self.asked: list[str] = []
        self.bodies: list[Any] = []


@pytest.fixture
def script(tmp_path: Path) -> Iterator[tuple[Script, Engine]]:
    made = Script()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            if self.path.endswith("/_ping"):
                self.send_response(200)
                self.send_header("Api-Version", "1.48")
                self.send_header("Builder-Version", "2")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            parts = urlsplit(self.path)
            query = "&".join(f"{key}={value}" for key, value in sorted(parse_qsl(parts.query)))
            made.asked.append(f"{self.command} {parts.path.partition('/v1.48')[2]}{'?' if query else ''}{query}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            while self.headers.get("Transfer-Encoding") and (size := int(self.rfile.readline(), 16)):
                body += self.rfile.read(size + 2)[:-2]
            if self.headers.get("Transfer-Encoding"):
                self.rfile.readline()
            made.bodies.append(json.loads(body) if self.headers.get("Content-Type") == "application/json" and body else body)
            status, answer = made.expected[len(made.asked) - 1][1:] if len(made.asked) <= len(made.expected) else (500, {})
            data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/octet-stream" if isinstance(answer, bytes) else "application/json")
            if data:
                self.send_header("Transfer-Encoding", "chunked")
                data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
            else:
                self.send_header("Content-Length", "0")
            if self.path.partition("?")[0].endswith("/archive"):
                self.send_header("X-Docker-Container-Path-Stat", "e30=")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815  the names that the server looks for

        def address_string(self) -> str:
            return "the test"

        def log_message(self, *_: object) -> None:
            pass

    address = tmp_path / "docker.sock"
    server = socketserver.ThreadingUnixStreamServer(str(address), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    options: Any = {"base_url": f"unix://{address}", "version": "1.48"}
    sdk = docker.DockerClient(**options)
    yield made, Engine(sdk, {"DOCKER_HOST": f"unix://{address}"}, TOOL)
    sdk.close()
    server.shutdown()
    server.server_close()


def lines(*events: dict[str, Any]) -> bytes:
    return "\r\n".join(json.dumps(event) for event in events).encode()


def filtered(**filters: list[str]) -> str:
    return f"filters={json.dumps(filters)}"


def heard(call: Callable[[Engine, Callable[[str], None]], Any]) -> Callable[[Engine], Any]:
    """The result of a call, and the lines that it was told meanwhile."""

    def calls(engine: Engine) -> Any:
        told: list[str] = []
        return call(engine, told.append), told

    return calls


def one(engine: Engine) -> Any:
    """A container whose methods ask this engine."""
    return engine._client.containers.prepare_model(CONTAINER)


OURS = filtered(label=[TOOL.selector])
ALL = "GET /containers/json?all=1&{}limit=-1&size=0&trunc_cmd=0"
PROGRESS = lines({"status": "Layer", "progress": "[=>]"}, {"status": "Done", "aux": {"Digest": DIGEST}})
STAGES = "GET /images/json?all=0&" + filtered(label=[TOOL.selector], dangling=["true"]) + "&only_ids=0"
CLUSTERS = filtered(label=[OWNER_LABEL])
SHOP = Owner("kubetasks-shop")
SHOP_LABELS = {
    **SHOP.labels,
    **{SHOP.key(name): value for name, value in (("cluster", "b"), ("folder", "/shop"), ("command", "kubetasks"))},
}
NONE = {"message": "none"}
LOOKED = ("GET /images/app:1/json", 200, IMAGE)
INSPECTED = ("GET /containers/c1/json", 200, CONTAINER)
TAGGING = "POST /images/sha256:1/tag?force=0&repo=app&tag=2"
UNTAGGING = "DELETE /images/app:1?force=True&noprune=False"
REMOVAL = "DELETE /containers/c1?force=True&link=False&v=True"
PULL, PUSH = "POST /images/create?fromImage=app&tag=1", "POST /images/host:5000/app/push?tag=1"
ASKED = "GET /distribution/host:5000/app:1/json"
STAGE = "DELETE /images/{}?force=False&noprune=False"


def image(number: int, *tags: str) -> Exchange:
    return f"GET /images/sha256:{number}/json", 200, {"Id": f"sha256:{number}", "RepoTags": tags}


def pushed(engine: Engine) -> str | None:
    return engine.pushed_digest("app:1", "host:5000/app:1")


TABLE: dict[str, Row] = {
    "an image": (lambda it: it.image_id("app:1"), [LOOKED], "sha256:1"),
    "no image": (lambda it: it.image_id("app:1"), [(LOOKED[0], 404, NONE)], None),
    "release": (lambda it: it.version(), [("GET /version", 200, {"Version": "28.0.4"})], "28.0.4"),
    "info": (lambda it: it.info, [("GET /info", 200, {"ID": "1"})], {"ID": "1"}),
    "pull": (heard(lambda it, at: it.pull("app:1", at)), [(PULL, 200, PROGRESS)], (None, ["Layer [=>]", "Done"])),
    "push": (heard(lambda it, at: it.push("host:5000/app:1", at)), [(PUSH, 200, PROGRESS)], (DIGEST, ["Layer [=>]", "Done"])),
    "what was pushed": (pushed, [LOOKED, (ASKED, 200, {"Descriptor": {"digest": DIGEST}})], DIGEST),
    "what another pushed": (pushed, [LOOKED, (ASKED, 200, {"Descriptor": {"digest": "sha256:2"}})], None),
    "what was never pushed": (
        pushed,
        [(LOOKED[0], 200, {**IMAGE, "RepoDigests": None}), (ASKED, 200, {"Descriptor": {"digest": DIGEST}})],
        None,
    ),
    "a registry that says nothing": (pushed, [LOOKED, (ASKED, 401, NONE)], None),
    "tag": (lambda it: it.tag("app:1", "h:5/app:2"), [LOOKED, (TAGGING.replace("app", "h:5/app"), 201, b"")], None),
    "tag, taken for a moment": (
        lambda it: it.tag("app:1", "app:2"),
        [LOOKED, (TAGGING, 409, {"message": "already exists"}), (TAGGING, 201, b"")],
        None,
    ),
    "platform": (lambda it: it.platform("app:1"), [LOOKED], "linux/arm64/v8"),
    "no variant": (lambda it: it.platform("app:1"), [(LOOKED[0], 200, {**IMAGE, "Variant": ""})], "linux/arm64"),
    "an image's name goes": (lambda it: it.remove_image("app:1"), [(UNTAGGING, 200, [])], True),
    "there is no such name": (lambda it: it.remove_image("app:1"), [(UNTAGGING, 404, NONE)], False),
    "stages of builds": (
        lambda it: it.remove_dangling(),
        [
            (STAGES, 200, [{"Id": "sha256:1"}]),
            (STAGE.format("sha256:1"), 409, NONE),
            (STAGES, 200, [{"Id": "sha256:1"}, {"Id": "sha256:2"}]),
            (STAGE.format("sha256:2"), 200, []),
            (STAGES, 200, [{"Id": "sha256:1"}]),
        ],
        None,
    ),
    "containers": (
        lambda it: [found.name for found in it.containers("a=b")],
        [(ALL.format(filtered(label=["a=b"]) + "&"), 200, [{"Id": "c1"}]), INSPECTED],
        ["one"],
    ),
    "who uses an image": (
        lambda it: it.users("app:1"),
        [(ALL.format(filtered(ancestor=["app:1"]) + "&"), 200, [{"Id": "c1"}]), INSPECTED],
        ["one"],
    ),
    "a container": (lambda it: bool(it.container("one")), [("GET /containers/one/json", 200, CONTAINER)], True),
    "one whose id begins so": (lambda it: it.container("c1"), [INSPECTED], None),
    "no container": (lambda it: it.container("one"), [("GET /containers/one/json", 404, NONE)], None),
    "start": (lambda it: it.start(one(it)), [("POST /containers/c1/start", 204, b"")], None),
    "stop": (lambda it: it.stop(one(it)), [("POST /containers/c1/stop?t=20", 204, b"")], None),
    "remove": (lambda it: it.remove(one(it)), [(REMOVAL, 204, b"")], None),
    "remove what is gone": (lambda it: it.remove(one(it)), [(REMOVAL, 404, NONE)], None),
    "a file": (lambda it: it.has_file(one(it), "/mark"), [("GET /containers/c1/archive?path=/mark", 200, b"tar")], True),
    "no file": (lambda it: it.has_file(one(it), "/mark"), [("GET /containers/c1/archive?path=/mark", 404, NONE)], False),
    "a network": (lambda it: it.network("net"), [("GET /networks/net", 200, {"Name": "net"})], {"Name": "net"}),
    "one whose id is so": (lambda it: it.network("net"), [("GET /networks/net", 200, {"Name": "other"})], None),
    "no network": (lambda it: it.network("net"), [("GET /networks/net", 404, NONE)], None),
    "a network goes": (lambda it: it.remove_network("net"), [("DELETE /networks/net", 204, b"")], None),
    "another network": (
        lambda it: it.reconnect("net", one(it)),
        [("POST /networks/net/disconnect", 404, NONE), ("POST /networks/net/connect", 200, b"")],
        None,
    ),
    "a volume": (lambda it: it.volume("data"), [("GET /volumes/data", 200, {"Labels": {"a": "b"}})], {"a": "b"}),
    "a volume without labels": (lambda it: it.volume("data"), [("GET /volumes/data", 200, {"Labels": None})], {}),
    "no volume": (lambda it: it.volume("data"), [("GET /volumes/data", 404, NONE)], None),
    "a volume goes": (
        lambda it: it.remove_volume("data"),
        [("GET /volumes/data", 200, {"Name": "data"}), ("DELETE /volumes/data", 204, b"")],
        None,
    ),
    "what docker builds with": (lambda it: it.asks_for_buildkit(), [], True),
    "others": (
        lambda it: it.others(["app:1"]),
        [
            (f"GET /images/json?all=0&{OURS}&only_ids=0", 200, [{"Id": "sha256:2"}]),
            image(2),
            LOOKED,
            (ALL.format(""), 200, [{"Id": "c1"}]),
            INSPECTED,
            ("GET /volumes", 200, {"Volumes": [{"Name": "data"}]}),
            ("GET /images/json?all=0&only_ids=0", 200, [{"Id": f"sha256:{number}"} for number in range(1, 5)]),
            *(image(1), image(2), image(3, "theirs:1"), image(4)),
        ],
        ["container one", "volume data", "image theirs:1", "image sha256:4"],
    ),
    "the clusters of each project": (
        lambda it: it.clusters(),
        [
            (
                f"GET /networks?{CLUSTERS}",
                200,
                [{"Id": "n", "Labels": SHOP_LABELS}, {"Id": "m", "Labels": {OWNER_LABEL: "helm"}}],
            ),
            (
                f"GET /volumes?{CLUSTERS}",
                200,
                {
                    "Volumes": [
                        {"Name": "v", "Labels": {**TOOL.labels, TOOL.key("cluster"): "a", TOOL.key("provider"): "minikube"}}
                    ]
                },
            ),
        ],
        [Created("a", "minikube", TOOL.name, "", ""), Created("b", "", "kubetasks-shop", "/shop", "kubetasks")],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_asked_and_what_is_made_of_it(script: tuple[Script, Engine], name: str) -> None:
    made, engine = script
    call, made.expected, result = TABLE[name]
    assert (call(engine), made.asked) == (result, [request for request, _, _ in made.expected])


SEE_DOCTOR = "\n  ./inv doctor shows what this machine has; the engine's own log may say more"
REFUSED: dict[str, Row] = {
    "Pulling app:1 failed: toomanyrequests\n  Try again: ./inv setup; ./inv doctor tells of a proxy that the engine lacks": (
        lambda it: it.pull("app:1", print),
        [(PULL, 200, lines({"error": "toomanyrequests"}))],
        EngineError,
    ),
    **{
        f"The registry did not take host:5000/app: {told}\n  {hint}": (
            lambda it: it.push("host:5000/app:1", print),
            [(PUSH, 200, lines({"error": f" {told}"}))],
            ImageError,
        )
        for told, hint in (
            ("x509: unknown authority", "Put the certificate of its authority into /etc/docker/certs.d/host:5000/ca.crt"),
            ("denied: no access", "docker login host:5000; you must be allowed to push to host:5000/app"),
            ("connection refused", "Is INVOKE_APP_REGISTRY right? docker push host:5000/app shows the same"),
        )
    },
    f"Connecting one to network net failed: busy{SEE_DOCTOR}": (
        lambda it: it.reconnect("net", one(it)),
        [("POST /networks/net/disconnect", 409, {"message": "busy"})],
        EngineError,
    ),
    f"Removing stages of builds failed: disk{SEE_DOCTOR}": (
        lambda it: it.remove_dangling(),
        [(STAGES, 200, [{"Id": "sha256:1"}]), (STAGE.format("sha256:1"), 500, {"message": "disk"})],
        EngineError,
    ),
    f"Tagging app:1 failed: bad{SEE_DOCTOR}": (
        lambda it: it.tag("app:1", "app:2"),
        [LOOKED, (TAGGING, 400, {"message": "bad"})],
        EngineError,
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_is_told_with_what_to_do(script: tuple[Script, Engine], words: str) -> None:
    made, engine = script
    call, made.expected, kind = REFUSED[words]
    with pytest.raises(kind) as told:
        call(engine)
    assert (str(told.value), made.asked) == (words, [request for request, _, _ in made.expected])


def test_what_is_made_carries_the_owners_label(script: tuple[Script, Engine]) -> None:
    made, engine = script
    labels = {**TOOL.labels, "a": "b"}
    made.expected = [
        ("POST /networks/create", 201, {"Id": "n"}),
        ("GET /networks/n", 200, {"Id": "n"}),
        ("POST /volumes/create", 201, {"Name": "data"}),
        ("POST /containers/create?name=one", 201, {"Id": "c1"}),
        ("GET /containers/c1/json", 200, CONTAINER),
        ("POST /containers/c1/start", 204, b""),
        (f'POST /images/create?changes=CMD true&changes=LABEL {OWNER_LABEL}="{TOOL.name}"&fromSrc=-&repo=base&tag=1', 200, b"{}"),
    ]
    engine.create_network("net", labels, {"mtu": "1400"})
    engine.create_volume("data", labels)
    engine.serve("one", "registry:1", "net", (40000, 5000), labels, {"STORE": "memory"})
    engine.import_image(iter([b"layer"]), "base:1", ["CMD true"])
    network, _, volume, container, *_ = made.bodies
    assert network.items() >= {"Name": "net", "Driver": "bridge", "Options": {"mtu": "1400"}, "Labels": labels}.items()
    assert (volume["Name"], volume["Labels"]) == ("data", labels)
    assert (container["Image"], container["Labels"], container["Env"]) == ("registry:1", labels, ["STORE=memory"])
    assert container["HostConfig"]["NetworkMode"] == "net"
    assert container["HostConfig"]["PortBindings"] == {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "40000"}]}
    assert (made.bodies[-1], made.asked) == (b"layer", [request for request, _, _ in made.expected])


def test_an_image_is_saved_for_its_platform_alone(script: tuple[Script, Engine], tmp_path: Path) -> None:
    made, engine = script
    platform = json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8"})
    made.expected = [
        ("GET /images/app:1/json", 200, IMAGE),
        (f"GET /images/get?names=app:1&names=app:v1&platform={platform}", 200, b"archive"),
        ("GET /images/app:1/json", 200, IMAGE),
        (f"GET /images/get?names=app:1&platform={platform}", 500, NONE),
        ("GET /images/app:1/json", 200, IMAGE),
    ]
    engine.save(["app:1", "app:v1"], tmp_path / "image.tar")
    assert (tmp_path / "image.tar").read_bytes() == b"archive"
    with pytest.raises(EngineError, match="Saving app:1 failed"):
        engine.save(["app:1"], tmp_path / "image.tar")
    with pytest.raises(EngineError, match="could not be written: No such file or directory") as told:
        engine.save(["app:1"], tmp_path / "gone" / "image.tar")
    assert told.value.hint == "Make room on the disk"
    assert made.asked == [request for request, _, _ in made.expected]


def test_a_build_gets_labels_arguments_and_every_name(script: tuple[Script, Engine]) -> None:
    made, engine = script
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(b"FROM scratch\n")
        tar.addfile(entry, io.BytesIO(b"FROM scratch\n"))
    context.seek(0)
    made.expected = [
        (
            (
                'POST /build?buildargs={"BUILD_ID": "1"}&dockerfile=Dockerfile&forcerm=True'
                "&nocache=False&pull=False&q=False&rm=True&t=app:1"
            ),
            200,
            lines({"stream": "Step 1/1 : FROM scratch\n"}, {"status": "Pulling\nagain"}, {"aux": {}}),
        ),
        ("GET /images/app:1/json", 200, IMAGE),
        ("POST /images/sha256:1/tag?force=0&repo=app&tag=v1", 201, b""),
    ]
    told: list[str] = []
    engine.build(context, ["app:1", "app:v1"], {"BUILD_ID": "1"}, told.append)
    assert told == ["Step 1/1 : FROM scratch", "again"]
    assert made.asked == [request for request, _, _ in made.expected]
    assert f"LABEL {TOOL.selector}".encode() in made.bodies[0]


def test_what_a_program_in_a_container_prints_is_returned_and_what_it_complains_of_is_told() -> None:
    def ran(code: int, *output: bytes | None) -> str:
        ended = SimpleNamespace(exit_code=code, output=output)
        container: Any = SimpleNamespace(
            name="one", exec_run=lambda argv, demux: ended if (argv, demux) == (["ls", "-l"], True) else None
        )
        engine: Any = None
        return Engine(engine, {}, TOOL).run_in(container, "ls", "-l")

    assert (ran(0, b"out", b"err"), ran(0, None, None)) == ("out", "")
    for errors, words in ((b" err\n", "`ls -l` in one failed: err"), (None, "`ls -l` in one failed: ")):
        with pytest.raises(EngineError) as told:
            ran(1, b"out", errors)
        assert told.value.sentence == words
