"""The registry of a cluster of our own: through it a node gets the layers that it lacks, and no other.

Transport, not storage: whatever is in it is in the engine too, and pods name what the node has.
"""

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING

from kubetasks.engine.client import Engine
from kubetasks.errors import EngineError
from kubetasks.project.settings import Settings
from kubetasks.providers.base import RegistryAddress
from kubetasks.providers.own import foreign
from kubetasks.setup import requirements
from kubetasks.terminal import equivalents

if TYPE_CHECKING:
    from kubetasks.engine.client import Container

PORT = 5000  # in the container
# the published image would look for a collector of traces, and keep what it gets in a volume; in memory, which it copies each
# time it gets more, an image takes 3 s of a core, as files 0.3 s
ENVIRONMENT = {"OTEL_TRACES_EXPORTER": "none", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/registry"}


def registry_of(cluster: str) -> str:
    """The name of a cluster's registry, for nodes and pods too."""
    return f"{cluster}-registry"


class Registry:
    """A container on the cluster's Docker network. `cluster` is the name of both."""

    def __init__(self, engine: Engine, settings: Settings, cluster: str) -> None:
        self._engine = engine
        self._settings = settings
        self._owner = settings.app.owner
        self._cluster = cluster
        self.name = registry_of(cluster)
        self._digests: dict[str, str] = {}  # of what this process has pushed, by reference

    @property
    def inside(self) -> str:
        """Its address (host:port) for nodes and pods."""
        return f"{self.name}:{PORT}"

    def available(self) -> bool:
        """Whether it is there, or there is an image that it can run."""
        return bool(self._container()) or requirements.REGISTRY.find(self._engine, self._settings).present

    def containers(self) -> list[str]:
        """The name of its container, if it has one."""
        return [self.name] if self._container() else []

    def address(self) -> RegistryAddress | None:
        """Where it answers, or None if there is none or it does not run."""
        container = self._container()
        if container is None or container.status != "running":
            return None
        (binding,) = container.attrs["HostConfig"]["PortBindings"][f"{PORT}/tcp"]
        return RegistryAddress(f"127.0.0.1:{binding['HostPort']}", self.inside)

    def serve(self) -> RegistryAddress | None:
        """Start it, created first if necessary, and return where it answers; None if there is no image that it could run.

        Raises OwnershipError, EngineError.
        """
        self.require_free()
        container = self._container()
        if container is not None and container.status != "running":
            try:
                self._engine.start(container)
            except EngineError:  # its port may be taken by now; what it held is in the engine
                self._engine.remove(container)
                container = None
        if container is None:
            if not requirements.REGISTRY.find(self._engine, self._settings).present:
                return None
            self._digests.clear()
            self._engine.serve(*self._options)
        return self.address()

    def serve_lines(self) -> Sequence[str]:
        """The equivalent command of `serve`, if there is an image that it can run."""
        return (equivalents.serve(*self._options),) if self.available() else ()

    @cached_property
    def _options(self) -> tuple[str, str, str, tuple[int, int], dict[str, str], dict[str, str]]:
        image = requirements.REGISTRY.find(self._engine, self._settings).reference
        return self.name, image, self._cluster, (_free_port(), PORT), self._labels, ENVIRONMENT

    def announce(self, address: RegistryAddress | None, nodes: "Sequence[Container]") -> None:
        """Tell the containerd of the nodes how to reach it, if it is there."""
        if address:
            for node in nodes:
                self._engine.run_in(node, "sh", "-c", _hosts(address))

    def announce_lines(self, nodes: Sequence[str]) -> Sequence[str]:
        """The equivalent commands of `announce`, for a registry that is to be created."""
        port = self._options[3][0]
        address = self.address() or RegistryAddress(f"127.0.0.1:{port}", self.inside)
        return [equivalents.run_in(node, ["sh", "-c", _hosts(address)]) for node in nodes] if self.available() else []

    def deliver(self, names: Sequence[str], nodes: "Sequence[Container]", at: Callable[[str], None]) -> None:
        """Push the image with these names, the first of which says which one it is, and let the nodes pull it.

        Nodes pull by the digest that the push returned: whoever reaches the registry may push another image of that name.
        Raises EngineError, ImageError.
        """
        address = self.address()
        if address is None:
            raise EngineError(f"Registry {self.name} does not run.", "./inv start")
        if names[0] not in self._digests:
            self._digests[names[0]] = self._push(names[0], f"{address.outside}/{names[0]}", at)
        at("pulling")
        with ThreadPoolExecutor() as pool:
            for _ in pool.map(lambda node: self._pull_into(node, names), nodes):
                pass

    def _push(self, reference: str, pushed: str, at: Callable[[str], None]) -> str:
        """Push the image, and return its digest."""
        self._engine.tag(reference, pushed)
        try:
            return self._engine.push(pushed, at)
        finally:
            self._engine.remove_image(pushed)

    def _pull_into(self, node: "Container", names: Sequence[str]) -> None:
        try:
            self._engine.run_in(node, *self._pull(names, self._digests[names[0]]))
        except EngineError as error:  # the last line has the reason
            reason = error.sentence.splitlines()[-1]
            raise EngineError(f"Node {node.name} cannot pull from registry {self.name}: {reason}") from error

    def lines(self, names: Sequence[str], nodes: Sequence[str]) -> tuple[str, ...]:
        """The equivalent commands of `deliver`."""
        return (
            *equivalents.push_to_own(names[0], self.name, PORT),
            *(equivalents.run_in(node, self._pull(names)) for node in nodes),
        )

    def _pull(self, names: Sequence[str], digest: str = "") -> list[str]:
        """The words that make a node pull the image, by its digest if that is known, and call it as if it had been loaded."""
        source = f"{self.inside}/{names[0].partition(':')[0]}@{digest}" if digest else f"{self.inside}/{names[0]}"
        known = " ".join(f"docker.io/library/{name}" for name in names)
        ctr = "ctr --namespace=k8s.io images"
        pull = f"{ctr} pull --plain-http {source}"
        return ["sh", "-ec", f"{pull}; {ctr} tag --force {source} {known}; {ctr} rm {source}"]

    def stop(self) -> None:
        container = self._container()
        if container is not None and container.status == "running":
            self._engine.stop(container)

    def remove(self) -> None:
        """Remove it, if it is there and ours."""
        self.__dict__.pop("_options", None)  # the port of the next one is free then
        container = self._container()
        if container is not None:
            self._engine.remove(container)

    def require_free(self) -> None:
        """Raises OwnershipError if a container of that name is not ours."""
        if self._engine.container(self.name) and self._container() is None:
            raise foreign(f"A container {self.name}")

    @property
    def _labels(self) -> dict[str, str]:
        return {**self._owner.labels, self._owner.key("cluster"): self._cluster}

    def _container(self) -> "Container | None":
        found = self._engine.container(self.name)
        if found is None:
            return None
        return found if self._labels.items() <= found.labels.items() else None


def _free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on; it stays the container's, also when that starts again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _hosts(address: RegistryAddress) -> str:
    """A script that tells containerd, in a file for each of the addresses, that plain HTTP reaches the registry."""
    text = f'[host."http://{address.inside}"]\\n'
    folders = " ".join(f"/etc/containerd/certs.d/{name}" for name in (address.inside, address.outside))
    return f"for folder in {folders}; do mkdir -p $folder && printf '{text}' > $folder/hosts.toml; done"
