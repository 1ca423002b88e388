"""An engine, a kind and a minikube that only remember; the real ones run in tests/thorough."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from kubetasks.engine.image import Image
from kubetasks.errors import ProgramError
from kubetasks.providers.minikube.config import PROFILE_LABEL
from kubetasks.providers.own import Own
from kubetasks.setup.requirements import Artifact
from tasks import PROJECT

NAME = "demo"
IMAGE = Image(PROJECT.application, "0123456789ab", "base")
NODE_IMAGE = Artifact("simple-server-node:v1.36.3-0123456789ab", True)
DIGEST = f"sha256:{'0' * 64}"
SUBNET = "172.18.0.0/16"


def fixed(found: Artifact) -> SimpleNamespace:
    """A requirement that always finds that."""
    return SimpleNamespace(find=lambda *_: found)


@dataclasses.dataclass
class Container:
    name: str
    labels: dict[str, str]
    status: str = "running"
    attrs: dict[str, Any] = dataclasses.field(default_factory=lambda: {"State": {"StartedAt": "2026-11-25T12:00:00Z"}})


def ports(**mapped: str) -> dict[str, Any]:
    """What an engine says of the ports of a container: `p80="8080"` is its port 80."""
    return {"PortBindings": {f"{name[1:]}/tcp": [{"HostPort": port}] for name, port in mapped.items()}}


class FakeEngine:
    """Stands for kubetasks.engine.client.Engine. `on_run` is called with what is run in a node, `on_look` before containers are
    looked for.
    """

    info: dict[str, Any]

    def __init__(self) -> None:
        self.info = {}
        self.nodes: dict[str, Container] = {}
        self.volumes: dict[str, dict[str, str]] = {}
        self.networks: dict[str, dict[str, str]] = {}
        self.images = {NODE_IMAGE.reference, *IMAGE.names}
        self.files: set[str] = set()
        self.others: list[str] = []  # containers of somebody else on a cluster's network
        self.ends = False  # a node ends as soon as it is started
        self.kubelet = True
        self.loaded: list[str] = []
        self.pushed: list[str] = []
        self.ran: list[tuple[str, ...]] = []
        self.on_run: Callable[..., object] = lambda *_: None
        self.on_look: Callable[[], object] = lambda: None

    def require_usable(self) -> None:
        pass

    def platform(self, _reference: str) -> str:
        return ""

    def container(self, name: str) -> Container | None:
        self.on_look()
        return self.nodes.get(name)

    def containers(self, label: str) -> list[Container]:
        self.on_look()
        key, _, value = label.partition("=")
        return [node for node in self.nodes.values() if node.labels.get(key) == value]

    def start(self, container: Container) -> None:
        container.status = "exited" if self.ends else "running"

    def stop(self, container: Container) -> None:
        container.status = "exited"

    def serve(self, name: str, _image: str, _network: str, published: tuple[int, int], labels: dict[str, str], _: object) -> None:
        self.nodes[name] = Container(name, labels, attrs={"HostConfig": ports(p5000=str(published[0]))})

    def remove(self, container: Container) -> None:
        del self.nodes[container.name]

    def volume(self, name: str) -> dict[str, str] | None:
        return self.volumes.get(name)

    def create_volume(self, name: str, labels: dict[str, str]) -> None:
        self.volumes[name] = dict(labels)

    def remove_volume(self, name: str) -> None:
        del self.volumes[name]

    def network(self, name: str) -> dict[str, Any] | None:
        if name not in self.networks:
            return None
        return {"Labels": self.networks[name], "IPAM": {"Config": [{"Subnet": "fc00::/64"}, {"Subnet": SUBNET}]}}

    def create_network(self, name: str, labels: dict[str, str], _options: object) -> None:
        self.networks[name] = labels

    def connected(self, _network: str) -> list[str]:
        return self.others

    def last_words(self, _node: Container) -> str:
        return "exec /sbin/init: no such file or directory"

    def remove_network(self, name: str) -> None:
        del self.networks[name]

    def has_file(self, _node: Container, path: str) -> bool:
        return path in self.files

    def run_in(self, node: Container, *argv: str) -> str:
        self.ran.append(argv)
        self.on_run(node, *argv)
        if argv[0] == "ctr":
            return "\n".join(["REF TYPE DIGEST", *(f"docker.io/library/{name} type sha256:1" for name in self.loaded)])
        if argv[:2] == ("docker", "images"):
            return "\n".join(self.loaded)
        if argv[:2] == ("docker", "rmi"):
            self.loaded = [name for name in self.loaded if name not in argv]
        if argv[0] == "touch":
            self.files.add(argv[1])
        if argv[-1].startswith("rm --force"):
            self.files.discard(argv[-1].split()[2])
        return "systemd\nkubelet\n" if self.kubelet and "/comm" in argv[-1] else ""

    def image_id(self, reference: str) -> str | None:
        return "sha256:1" if reference in self.images else None

    def image_tags(self, repository: str) -> list[str]:
        return sorted(name for name in self.images if name.startswith(f"{repository}:"))

    def tag(self, _reference: str, name: str) -> None:
        self.images.add(name)

    def push(self, name: str, _on_line: object) -> str:
        self.pushed.append(name)
        return DIGEST

    def remove_image(self, name: str) -> None:
        self.images.remove(name)

    def save(self, references: list[str], file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(references))


class FakeProgram:
    """Stands for shell.run, and so for the program that it runs. It fails at the word `broken`, and says `output`."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.called: list[list[str]] = []
        self.environment: dict[str, str] = {}
        self.timeout: float = 0
        self.broken, self.output = "", "It was terminated."
        self.version = ""

    @property
    def words(self) -> list[str]:
        return [words[0] for words in self.called]

    def __call__(self, argv: list[str], *, env: dict[str, str], timeout: float = 0, log: object = "", **_options: object) -> str:
        self.called.append(argv[1:])
        self.environment, self.timeout = dict(env), timeout
        if argv[1] == self.broken == "delete":
            raise ProgramError(argv, -15, self.output)
        self.do(argv[1:], env)
        if argv[1] == self.broken in ("create", "start"):
            raise ProgramError(argv, 1, self.output, str(log))
        return self.version

    def do(self, words: list[str], env: dict[str, str]) -> None:
        raise NotImplementedError


class FakeKind(FakeProgram):
    """Does to the engine what kind would."""

    creates, writes, kubeconfig = "create", "export", "server: https://127.0.0.1:6444\nclient-key-data: a2V5\n"

    def do(self, words: list[str], env: dict[str, str]) -> None:  # noqa: ARG002
        if words[0] == "create":
            config = yaml.safe_load(Path(words[words.index("--config") + 1]).read_text())
            self.create([node.get("extraPortMappings") for node in config["nodes"]], words[words.index("--image") + 1])
        if words[0] in ("create", "export"):
            Path(words[words.index("--kubeconfig") + 1]).write_text(self.kubeconfig)
        if words[0] == "delete":
            for node in self._engine.containers(f"io.x-k8s.kind.cluster={NAME}"):
                self._engine.remove(node)
        if words[0] == "load":
            self._engine.loaded += Path(words[-1]).read_text().splitlines()

    def create(self, mappings: list[list[dict[str, Any]] | None], image: str) -> None:
        assert NAME in self._engine.networks, "without it, kind would create one that nobody knows for ours"
        for number, mapped in enumerate(mappings):
            name = f"{NAME}-control-plane" if number == 0 else f"{NAME}-worker{number if number > 1 else ''}"
            node = Container(name, {"io.x-k8s.kind.cluster": NAME})
            bound = {f"p{one['containerPort']}": str(one["hostPort"]) for one in mapped or []}
            node.attrs |= {"HostConfig": ports(p6443="6444", **bound), "Config": {"Image": image}}
            node.attrs["NetworkSettings"] = {"Networks": {NAME: {}}}
            self._engine.nodes[name] = node


class FakeMinikube(FakeProgram):
    """Does to the engine what minikube would. If it is `broken` at "image", it loads nothing and does not fail."""

    creates, writes = "start", "update-context"
    kubeconfig = "users:\n- name: demo\n  user:\n    client-key: /home/me/my clone/.minikube/profiles/demo/client.key\n"

    def do(self, words: list[str], env: dict[str, str]) -> None:
        engine, word = self._engine, words[0]
        if word == "start":
            assert NAME in engine.volumes, "without the volume, minikube would create one that nobody knows for ours"
            Path(env["MINIKUBE_HOME"]).mkdir(parents=True, exist_ok=True)
            engine.nodes[NAME] = Container(NAME, {PROFILE_LABEL: NAME})
            engine.networks[NAME] = {PROFILE_LABEL: NAME}
            engine.kubelet = True
        if word in ("start", "update-context"):
            Path(env["KUBECONFIG"]).write_text(self.kubeconfig)
        if word == "stop":
            engine.nodes[NAME].status = "exited"
        if word == "delete":
            for things in (engine.nodes, engine.volumes, engine.networks):
                things.pop(NAME, None)
            engine.files.clear()
        if word == "image" and self.broken != "image":
            engine.loaded += Path(words[-1]).read_text().splitlines()


@dataclasses.dataclass
class World:
    """An adapter with what it works on; `make` creates another one, for example for another clone."""

    name: str
    provider: Any
    engine: FakeEngine
    program: Any
    make: Callable[..., Own]
