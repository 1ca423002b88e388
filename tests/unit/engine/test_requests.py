"""The requests to the engine, and what the client makes of its answers."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.engine.client import BuildKitNeededError, Created, Engine, LayerGoneError, PullError
from kubetasks.engine.content import read_context
from kubetasks.errors import EngineError, ImageError
from kubetasks.project.labels import OWNER_LABEL, TOOL, Owner
from tests.unit.engine.conftest import Exchange, Script

AT_HOST = "host:5000/app:1"
DIGEST = f"sha256:{'0' * 64}"
IMAGE = {"Id": "sha256:1", "Os": "linux", "Architecture": "arm64", "Variant": "v8", "RepoDigests": [f"host:5000/app@{DIGEST}"]}
CONTAINER = {"Id": "c1", "Name": "/one", "State": {"Status": "running"}, "Config": {"Labels": {}}}

Row = tuple[Callable[[Engine], Any], list[Exchange], Any]  # the call, the expected requests, the result or error


def lines(*events: dict[str, Any]) -> bytes:
    return "\r\n".join(json.dumps(event) for event in events).encode()


def filtered(**filters: list[str]) -> str:
    return f"filters={json.dumps(filters)}"


def told(call: Callable[[Callable[[str], None]], Any]) -> Any:
    """Return the result of a call, and the lines that it reports meanwhile."""
    heard: list[str] = []
    return call(heard.append), heard


def one(engine: Engine) -> Any:
    """Return a container whose methods send requests to this engine."""
    return engine._client.containers.prepare_model(CONTAINER)


OUR_IMAGES = f"GET /images/json?all=0&{filtered(label=[TOOL.selector])}&only_ids=0"
ALL = "GET /containers/json?all=1&{}limit=-1&size=0&trunc_cmd=0"
PROGRESS = lines({"status": "Layer", "progress": "[=>]"}, {"status": "Done", "aux": {"Digest": DIGEST}})
STAGES = "GET /images/json?all=0&" + filtered(label=[TOOL.selector], dangling=["true"]) + "&only_ids=0"
CLUSTERS = filtered(label=[OWNER_LABEL])
SHOP = Owner("kubetasks-shop")
SHOPS = {**SHOP.labels, SHOP.key("cluster"): "b", SHOP.key("folder"): "/shop", SHOP.key("command"): "kubetasks"}
NETWORKS = [{"Id": "n", "Labels": SHOPS}, {"Id": "m", "Labels": {OWNER_LABEL: "helm"}}]
VOLUMES = [{"Name": "v", "Labels": {**TOOL.labels, TOOL.key("cluster"): "a", TOOL.key("provider"): "minikube"}}]
NAMED: list[dict[str, list[str] | None]] = [
    {"RepoTags": None, "RepoDigests": [f"host:5000/app@{DIGEST}"]},
    {"RepoTags": ["app:v1"], "RepoDigests": [f"app@{DIGEST}"]},
    {"RepoTags": ["app-base:1", "org/b:1", "h:5/org/b:1", "b:1", "x-org/b:1"], "RepoDigests": None},
    {"RepoTags": None, "RepoDigests": None},
]
NONE = {"message": "none"}
LOOKED = ("GET /images/app:1/json", 200, IMAGE)
INSPECTED = ("GET /containers/c1/json", 200, CONTAINER)
VOLUME = ("GET /volumes/data", 200, {"Name": "data", "Labels": {"a": "b"}})
TAGGING = "POST /images/sha256:1/tag?force=0&repo=app&tag=2"
TAKEN = (TAGGING, 409, {"message": "already exists"})
UNTAGGING = "DELETE /images/app:1?force=True&noprune=False"
REMOVAL = "DELETE /containers/c1?force=True&link=False&v=True"
PULL, PUSH = "POST /images/create?fromImage=app&tag=1", "POST /images/host:5000/app/push?tag=1"
STAGE = "DELETE /images/sha256:{}?force=False&noprune=False"
BUILD = "POST /build?dockerfile=Dockerfile&forcerm=True&nocache=False&pull=False&q=False&rm=True&t=app:1"
ARGUED = BUILD.replace("?", '?buildargs={"BUILD_ID": "1"}&') + "&target=run"
CACHED = ({"stream": "Step 1/2 : COPY a /"}, {"stream": " ---> Using cache\n"}, {"stream": " ---> 0a1b\n"})
STEP = {"stream": "Step 2/2 : RUN a\n"}
RED = ({"stream": " ---> Running in 1\n"}, {"stream": "\x1b[31mred\x1b[0m\n"}, {"stream": "Removing intermediate container 1\n"})
FULL = "Building app:1 failed: no space left\n  Step 2/2 : RUN a\n  red"
LAYERS = (
    "failed to get digest sha256:0: no such file or directory",
    "invalid from flag value root: No such image: sha256:0",
    'unable to find image "sha256:0"',
)
NO_ENGINE = Engine(None, {}, TOOL)  # type: ignore[arg-type]


def image(number: int, *tags: str) -> Exchange:
    return f"GET /images/sha256:{number}/json", 200, {"Id": f"sha256:{number}", "RepoTags": tags}


def stages(*numbers: int) -> Exchange:
    return STAGES, 200, [{"Id": f"sha256:{number}"} for number in numbers]


def listed(**filters: list[str]) -> Exchange:
    """Return the request that lists containers with these filters, answered with one container."""
    return ALL.format(f"{filtered(**filters)}&" if filters else ""), 200, [{"Id": "c1"}]


TABLE: dict[str, Row] = {
    "an image": (lambda it: it.image_id("app:1"), [LOOKED], "sha256:1"),
    "no image": (lambda it: it.image_id("app:1"), [(LOOKED[0], 404, NONE)], None),
    "info": (lambda it: it.info, [("GET /info", 200, {"ID": "1"})], {"ID": "1"}),
    "pull": (lambda it: told(lambda at: it.pull("app:1", at)), [(PULL, 200, PROGRESS)], (None, ["Layer [=>]", "Done"])),
    "push": (lambda it: told(lambda at: it.push(AT_HOST, at)), [(PUSH, 200, PROGRESS)], (DIGEST, ["Layer [=>]", "Done"])),
    "names of our images": (lambda it: it.image_tags("app"), [(OUR_IMAGES, 200, NAMED)], ["app:v1", f"host:5000/app@{DIGEST}"]),
    "names in a path": (lambda it: it.image_tags("org/b"), [(OUR_IMAGES, 200, NAMED)], ["h:5/org/b:1", "org/b:1"]),
    "tag": (lambda it: it.tag("app:1", "h:5/app:2"), [LOOKED, (TAGGING.replace("app", "h:5/app"), 201, b"")], None),
    "tag, taken for a moment": (lambda it: it.tag("app:1", "app:2"), [LOOKED, TAKEN, (TAGGING, 201, b"")], None),
    "platform": (lambda it: it.platform("app:1"), [LOOKED], "linux/arm64/v8"),
    "no variant": (lambda it: it.platform("app:1"), [(LOOKED[0], 200, {**IMAGE, "Variant": ""})], "linux/arm64"),
    "an image's name goes": (lambda it: it.remove_image("app:1"), [(UNTAGGING, 200, [])], True),
    "there is no such name": (lambda it: it.remove_image("app:1"), [(UNTAGGING, 404, NONE)], False),
    "stages of builds": (
        lambda it: it.remove_dangling(),
        [
            stages(1),
            (STAGE.format(1), 409, NONE),
            stages(1, 2),
            (STAGE.format(2), 500, {"message": "unrecognized image ID sha256:2"}),
            stages(3),
            (STAGE.format(3), 200, []),
            stages(1),
        ],
        None,
    ),
    "containers": (lambda it: [one.name for one in it.containers("a=b")], [listed(label=["a=b"]), INSPECTED], ["one"]),
    "who uses an image": (lambda it: it.users("app:1"), [listed(ancestor=["app:1"]), INSPECTED], ["one"]),
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
    "a volume": (lambda it: it.volume("data"), [VOLUME], {"a": "b"}),
    "a volume without labels": (lambda it: it.volume("data"), [("GET /volumes/data", 200, {"Labels": None})], {}),
    "no volume": (lambda it: it.volume("data"), [("GET /volumes/data", 404, NONE)], None),
    "a volume goes": (lambda it: it.remove_volume("data"), [VOLUME, ("DELETE /volumes/data", 204, b"")], None),
    "what docker builds with": (lambda it: it.asks_for_buildkit(), [], True),
    "others": (
        lambda it: it.others(["app:1"]),
        [
            (OUR_IMAGES, 200, [{"Id": "sha256:2"}]),
            image(2),
            LOOKED,
            listed(),
            INSPECTED,
            ("GET /volumes", 200, {"Volumes": [{"Name": "data"}]}),
            ("GET /images/json?all=0&only_ids=0", 200, [{"Id": f"sha256:{number}"} for number in range(1, 5)]),
            *(image(1), image(2), image(3, "theirs:1"), image(4)),
        ],
        ["container one", "volume data", "image theirs:1", "image sha256:4"],
    ),
    "the clusters of each project": (
        lambda it: it.clusters(),
        [(f"GET /networks?{CLUSTERS}", 200, NETWORKS), (f"GET /volumes?{CLUSTERS}", 200, {"Volumes": VOLUMES})],
        [Created("a", "minikube", TOOL.name, "", ""), Created("b", "", "kubetasks-shop", "/shop", "kubetasks")],
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_asked_and_what_is_made_of_it(script: Script, engine: Engine, name: str) -> None:
    call, script.expected, result = TABLE[name]
    assert call(engine) == result


SEE_DOCTOR = "\n  ./inv doctor shows what this machine has; the engine's own log may say more"
PULLING, UNKNOWN = "Pulling app:1 failed:", "x509: unknown authority"
AGAIN = "Try again: ./inv setup; ./inv doctor reports a proxy that the engine lacks"
PUSHING = {
    UNKNOWN: "Put the certificate of its authority into /etc/docker/certs.d/host:5000/ca.crt",
    "denied: no access": "docker login host:5000; you must be allowed to push to host:5000/app",
    "connection refused": "Check INVOKE_APP_REGISTRY; docker push host:5000/app shows the same",
}
DISK, BAD = [stages(1), (STAGE.format(1), 500, {"message": "disk"})], [LOOKED, (TAGGING, 400, {"message": "bad"})]


def pulling(error: str, kind: type[EngineError]) -> Row:
    return lambda it: it.pull("app:1", print), [(PULL, 200, lines({"error": error}))], kind


def pushing(error: str) -> Row:
    return lambda it: it.push(AT_HOST, print), [(PUSH, 200, lines({"error": f" {error}"}))], ImageError


REFUSED: dict[str, Row] = {
    f"{PULLING} toomanyrequests\n  {AGAIN}": pulling("toomanyrequests", PullError),
    f"{PULLING} {UNKNOWN}\n  The engine does not trust your company's CA: docs/setup.md": pulling(UNKNOWN, EngineError),
    **{f"The registry rejected host:5000/app: {told}\n  {hint}": pushing(told) for told, hint in PUSHING.items()},
    f"Removing stages of builds failed: disk{SEE_DOCTOR}": (lambda it: it.remove_dangling(), DISK, EngineError),
    f"Tagging app:1 failed: bad{SEE_DOCTOR}": (lambda it: it.tag("app:1", "app:2"), BAD, EngineError),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused_is_told_with_what_to_do(script: Script, engine: Engine, words: str) -> None:
    call, script.expected, kind = REFUSED[words]
    with pytest.raises(kind) as refused:
        call(engine)
    assert (str(refused.value), type(refused.value)) == (words, kind)


def build(engine: Engine) -> None:
    engine.build(io.BytesIO(bytes(1024)), ["app:1"], {}, lambda _line: None)


@pytest.mark.parametrize(
    ("status", "answer", "error", "sentence"),
    [
        (200, lines(*CACHED, STEP, *RED, {"error": "no space left"}), ImageError, FULL),
        (400, {"message": "parse error line 2"}, ImageError, "Building app:1 failed: parse error line 2"),
        (400, {"message": "--mount requires BuildKit"}, BuildKitNeededError, "Building app:1 failed: --mount requires BuildKit"),
        *((200, lines({"error": told}), LayerGoneError, f"Building app:1 failed: {told}") for told in LAYERS),
    ],
    ids="full disk,broken Dockerfile,needs BuildKit,cached layer gone,cached stage gone,found stage gone".split(","),
)
def test_a_build_that_fails_is_told_as_what_it_is(
    script: Script, engine: Engine, status: int, answer: object, error: type[ImageError], sentence: str
) -> None:
    script.expected = [(BUILD, status, answer)]
    with pytest.raises(error) as told:
        build(engine)
    assert (type(told.value), told.value.sentence) == (error, sentence)


def test_an_engine_that_ends_in_the_middle_of_a_build_is_told(script: Script, engine: Engine) -> None:
    script.expected, script.ends = [(BUILD, 200, lines(STEP))], True
    with pytest.raises(EngineError, match="Building app:1 failed") as told:
        build(engine)
    assert (type(told.value), told.value.hint) == (EngineError, "./inv doctor says whether the engine answers")


def test_what_is_made_carries_the_owners_label(script: Script, engine: Engine) -> None:
    labels = {**TOOL.labels, "a": "b"}
    script.expected = [
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
    given = {"network": "net", "ports": {"5000/tcp": ("127.0.0.1", 0)}, "environment": {"STORE": "files"}}
    engine.serve("registry:1", "one", labels=labels, **given)
    engine.import_image(io.BytesIO(b"layer"), "base:1", ["CMD true"])
    network, _, volume, container, *_ = script.bodies
    assert network.items() >= {"Name": "net", "Driver": "bridge", "Options": {"mtu": "1400"}, "Labels": labels}.items()
    assert (volume["Name"], volume["Labels"]) == ("data", labels)
    assert (container["Image"], container["Labels"], container["Env"]) == ("registry:1", labels, ["STORE=files"])
    assert container["HostConfig"]["NetworkMode"] == "net"
    assert container["HostConfig"]["PortBindings"] == {"5000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "0"}]}
    assert script.bodies[-1] == b"layer"


def test_an_image_is_saved_for_its_platform_alone(script: Script, engine: Engine, tmp_path: Path) -> None:
    platform = json.dumps({"os": "linux", "architecture": "arm64", "variant": "v8"})
    script.expected = [
        LOOKED,
        (f"GET /images/get?names=app:1&names=app:v1&platform={platform}", 200, b"archive"),
        LOOKED,
        (f"GET /images/get?names=app:1&platform={platform}", 500, NONE),
        LOOKED,
    ]
    engine.save(["app:1", "app:v1"], tmp_path / "image.tar")
    assert (tmp_path / "image.tar").read_bytes() == b"archive"
    with pytest.raises(EngineError, match="Saving app:1 failed"):
        engine.save(["app:1"], tmp_path / "image.tar")
    with pytest.raises(EngineError, match="could not be written: No such file or directory") as told:
        engine.save(["app:1"], tmp_path / "gone" / "image.tar")
    assert told.value.hint == "Make room on the disk"


def test_a_build_gets_labels_arguments_and_every_name(script: Script, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    script.expected = [
        (ARGUED, 200, lines(STEP, {"status": "Pulling\nagain"}, {"aux": {}})),
        LOOKED,
        ("POST /images/sha256:1/tag?force=0&repo=app&tag=v1", 201, b""),
    ]
    told: list[str] = []
    engine.build(read_context(tmp_path), ["app:1", "app:v1"], {"BUILD_ID": "1"}, told.append, target="run")
    assert told == ["Step 2/2 : RUN a", "again"]
    assert f"LABEL {TOOL.selector}".encode() in script.bodies[0]


def test_what_a_program_in_a_container_prints_is_returned_and_what_it_complains_of_is_told() -> None:
    def ran(code: int, *output: bytes | None) -> str:
        ended, words = SimpleNamespace(exit_code=code, output=output), ["timeout", "600", "ls", "-l"]
        container: Any = SimpleNamespace(
            name="one", exec_run=lambda argv, demux: ended if (argv, demux) == (words, True) else None
        )
        return NO_ENGINE.run_in(container, "ls", "-l")

    assert (ran(0, b"out", b"err"), ran(0, None, None)) == ("out", "")
    for code, errors, words in (
        (1, b" err\n", "`ls -l` in one failed: err"),
        (1, None, "`ls -l` in one failed: "),
        (124, None, "`ls -l` in one has not ended after 600 s."),
    ):
        with pytest.raises(EngineError) as told:
            ran(code, b"out", errors)
        assert told.value.sentence == words
