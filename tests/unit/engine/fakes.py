"""A fake engine, which only keeps records; tests/core and tests/thorough use a real one."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kubetasks.engine.client import Created

DIGEST = f"sha256:{'0' * 64}"
SUBNET = "172.18.0.0/16"


@dataclasses.dataclass
class Container:
    name: str
    labels: dict[str, str]
    status: str = "running"
    attrs: dict[str, Any] = dataclasses.field(default_factory=lambda: {"State": {"StartedAt": "2026-11-25T12:00:00Z"}})


def ports(**mapped: str) -> dict[str, Any]:
    """Return how an engine describes a container's mapped ports: `p80="8080"` maps its port 80 to the host's 8080."""
    return {"PortBindings": {f"{name[1:]}/tcp": [{"HostPort": port}] for name, port in mapped.items()}}


class FakeEngine:
    """Stands in for kubetasks.engine.client.Engine, with the given images.

    `on_run` is called with each command that is run in a node, `on_look` before each lookup of containers, and `building` with
    the callback for the lines of a build's output.
    """

    def __init__(self, *images: str) -> None:
        self.info: dict[str, Any] = {}
        self.nodes: dict[str, Container] = {}
        self.volumes: dict[str, dict[str, str]] = {}
        self.networks: dict[str, dict[str, str]] = {}
        self.images = {name: name for name in images}  # name: id; a built image's id is its first name
        self.used: list[str] = []  # the containers that use any image
        self.created: list[Created] = []  # the clusters in this engine
        self.built: list[str] = []
        self.files: set[str] = set()
        self.ends = False  # whether a node exits as soon as it is started
        self.kubelet = True
        self.buildkit = False  # whether it asks docker to build with BuildKit
        self.loaded: list[str] = []
        self.pushed: list[str] = []
        self.ran: list[tuple[str, ...]] = []
        self.on_run: Callable[..., object] = lambda *_: None
        self.on_look: Callable[[], object] = lambda: None
        self.building: Callable[[Callable[[str], None]], object] = lambda on_line: on_line("Step 1/1")

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

    def serve(self, _image: str, name: str, *, labels: dict[str, str], ports: dict[str, object], **_: object) -> None:
        (port,) = ports
        self.nodes[name] = Container(name, labels, attrs={"NetworkSettings": {"Ports": {port: [{"HostPort": "40000"}]}}})

    def remove(self, container: Container) -> None:
        del self.nodes[container.name]

    def volume(self, name: str) -> dict[str, str] | None:
        return self.volumes.get(name)

    def create_volume(self, name: str, labels: dict[str, str]) -> None:
        self.volumes[name] = dict(labels)

    def network(self, name: str) -> dict[str, Any] | None:
        if name not in self.networks:
            return None
        return {"Labels": self.networks[name], "IPAM": {"Config": [{"Subnet": "fc00::/64"}, {"Subnet": SUBNET}]}}

    def create_network(self, name: str, labels: dict[str, str], _options: object) -> None:
        self.networks[name] = labels

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
        return self.images.get(reference)

    def image_tags(self, repository: str) -> list[str]:
        return sorted(name for name in self.images if name.startswith(f"{repository}:"))

    def tag(self, reference: str, name: str) -> None:
        self.images[name] = self.images[reference]

    def push(self, name: str, _on_line: object) -> str:
        self.pushed.append(name)
        return DIGEST

    def digest(self, name: str) -> str:
        return DIGEST if name in self.pushed else ""

    def users(self, _reference: str) -> list[str]:
        return self.used

    def remove_image(self, name: str) -> None:
        del self.images[name]

    def remove_dangling(self) -> None:
        pass

    def clusters(self) -> list[Created]:
        return self.created

    def asks_for_buildkit(self) -> bool:
        return self.buildkit

    def build(self, _context: object, names: list[str], _arguments: object, on_line: Callable[[str], None], *_: object) -> None:
        self.built.append(names[0])
        self.building(on_line)
        self.images.update(dict.fromkeys(names, names[0]))

    def save(self, references: list[str], file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(references))
