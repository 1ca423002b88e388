"""The registry of a cluster that kubetasks created: from it a node pulls only the layers that it lacks.

It is transport, not storage: everything in it is in the engine too, and pods refer to the image on the node.
"""

import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from kubetasks.engine.client import Engine
from kubetasks.engine.image import full
from kubetasks.errors import EngineError
from kubetasks.project.labels import Owner
from kubetasks.project.words import INV
from kubetasks.providers.own import foreign
from kubetasks.setup.requirements import Artifact
from kubetasks.terminal import shell, wait
from kubetasks.terminal.door import At, Door, pairs

if TYPE_CHECKING:
    from kubetasks.engine.client import Container

PORT = 5000  # in the container
# the published image would send traces to a collector, and store images in a volume. Its in-memory storage driver copies all
# that it has with each write: an image takes 3 s of CPU time, compared with 0.3 s in files on a tmpfs
FILES = "/registry"
ENVIRONMENT = {"OTEL_TRACES_EXPORTER": "none", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": FILES}


def registry_of(cluster: str) -> str:
    """Return the name of a cluster's registry, which is also its host name for nodes and pods."""
    return f"{cluster}-registry"


class Registry:
    """A registry container on the Docker network of `cluster`, which has the cluster's name; `image` finds its image."""

    def __init__(self, do: Door, engine: Engine, owner: Owner, cluster: str, image: Callable[[], Artifact]) -> None:
        self._do = do
        self._engine = engine
        self._image = image
        self._owner = owner
        self._cluster = cluster
        self.name = registry_of(cluster)
        self._digests: dict[str, str] = {}  # by reference, of the images that this process has pushed
        # under --dry: whether it would be removed by now, and its address if it would have been started
        self._would_be_gone = False
        self._would_answer = ""

    def available(self) -> bool:
        """Whether the registry exists, or the image to create it from."""
        return bool(self._container()) or self._image().present

    def address(self) -> str:
        """Return its address on this machine (host:port), or "" if it does not exist or is not running."""
        container = self._container()
        if container is None or container.status != "running":
            return self._would_answer
        (binding,) = container.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"]
        return f"127.0.0.1:{binding['HostPort']}"

    def listens(self) -> bool:
        """Whether it accepts connections."""
        host, _, port = self.address().partition(":")
        with socket.socket() as probe:
            return bool(port) and probe.connect_ex((host, int(port))) == 0

    def serve(self) -> None:
        """Start the registry; create it first if necessary, and if its image is present. Raises OwnershipError, EngineError."""
        self.require_free()
        container, image, did = self._container(), self._image(), True
        if container and container.status != "running":
            self._digests.clear()  # its content was in memory
            did = self._do.did(["docker", "start", self.name], lambda: self._engine.start(container))
        elif not container and image.present:
            self._digests.clear()
            labels, env = self._labels, ENVIRONMENT
            where = ["--name", self.name, "--network", self._cluster, "--publish", f"127.0.0.1::{PORT}", "--tmpfs", FILES]
            run = ["docker", "run", "--detach", *where, *pairs("--label", labels), *pairs("--env", env), image.reference]
            given = {"network": self._cluster, "ports": {f"{PORT}/tcp": ("127.0.0.1", 0)}, "tmpfs": {FILES: ""}}
            did = self._do.did(
                run, lambda: self._engine.serve(image.reference, self.name, labels=labels, environment=env, **given)
            )
        if not did:
            self._would_answer = "127.0.0.1:0"

    def push(self, reference: str, at: At) -> None:
        """Push the image, unless this process has already pushed it. Raises EngineError, ImageError."""
        address = self.address()
        if not address:
            raise EngineError(f"Registry {self.name} does not run.", f"{INV} start")
        if reference in self._digests:
            return
        pushed = f'"$(docker port {self.name} {PORT})/{reference}"'
        commands = f"docker tag {reference} {pushed}\ndocker push {pushed}\ndocker rmi {pushed}"
        digest = self._do(commands, lambda _: self._push(reference, f"{address}/{reference}", at))
        self._digests |= {reference: digest} if digest else {}

    def pull(
        self,
        names: Sequence[str],
        nodes: "Sequence[Container]",
        patience: float = 0.0,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> None:
        """Let the nodes pull an image that was pushed under the first of its names.

        Retry for `patience` seconds, or until `abandoned` returns True. Pull by the digest that the push returned: any client
        that reaches the registry can push another image under that name. Raises EngineError.
        """
        pull = self._pull(names, self._digests.get(names[0], ""))
        commands = "\n".join(shell.line(["docker", "exec", str(node.name), *pull]) for node in nodes)

        def pulled() -> wait.State:
            try:
                with ThreadPoolExecutor() as pool:
                    list(pool.map(lambda node: self._pull_into(node, names), nodes))
            except EngineError as error:
                return wait.Done() if abandoned() else wait.Failed(error.sentence, grace=patience, error=error)
            return wait.Done()

        self._do(commands, lambda _: wait.until_done(pulled, EngineError, "", timeout=patience))

    def _push(self, reference: str, pushed: str, at: At) -> str:
        """Push the image, and return its digest."""
        self._engine.tag(reference, pushed)
        try:
            return self._engine.push(pushed, at)
        finally:
            self._engine.remove_image(pushed)

    def _pull_into(self, node: "Container", names: Sequence[str]) -> None:
        try:
            self._engine.run_in(node, *self._pull(names, self._digests[names[0]]))
        except EngineError as error:  # the reason is in the last line
            reason = error.sentence.splitlines()[-1]
            raise EngineError(f"Node {node.name} cannot pull from registry {self.name}: {reason}") from error

    def _pull(self, names: Sequence[str], digest: str = "") -> list[str]:
        """Return the command that pulls the image on a node, by digest if known, and tags it as if it had been loaded."""
        source = f"{self.name}:{PORT}/" + (f"{names[0].partition(':')[0]}@{digest}" if digest else names[0])
        known = " ".join(map(full, names))
        ctr = "ctr --namespace=k8s.io images"
        pull = f"{ctr} pull --plain-http {source}"
        return ["sh", "-ec", f"{pull}; {ctr} tag --force {source} {known}; {ctr} rm {source}"]

    def stop(self) -> None:
        container = self._container()
        if container is not None and container.status == "running":
            self._engine.stop(container)

    def remove(self) -> None:
        """Remove the registry if it exists and has the owner's label."""
        container = self._container()
        if container is not None:
            remove = ["docker", "rm", "--force", "--volumes", self.name]
            self._would_be_gone = not self._do.did(remove, lambda: self._engine.remove(container))

    def require_free(self) -> None:
        """Raise OwnershipError if a container without the owner's label has the registry's name."""
        if self._engine.container(self.name) and self._container() is None and not self._would_be_gone:
            raise foreign(f"A container {self.name}")

    @property
    def _labels(self) -> dict[str, str]:
        return {**self._owner.labels, self._owner.key("cluster"): self._cluster}

    def _container(self) -> "Container | None":
        container = self._engine.container(self.name)
        if container is None or self._would_be_gone:
            return None
        return container if self._labels.items() <= container.labels.items() else None
