"""The registry of a cluster that kubetasks created: through it a node gets the layers that it lacks, and no other.

Transport, not storage: whatever is in it is in the engine too, and pods name what the node has.
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
# the published image would look for a collector of traces, and keep what it gets in a volume. Its own storage in memory copies
# all that it has each time it gets more: an image takes 3 s of a core, as files in memory 0.3 s
FILES = "/registry"
ENVIRONMENT = {"OTEL_TRACES_EXPORTER": "none", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": FILES}


def registry_of(cluster: str) -> str:
    """The name of a cluster's registry, for nodes and pods too."""
    return f"{cluster}-registry"


class Registry:
    """A container on the cluster's Docker network. `cluster` is the name of both; `image` finds what it runs."""

    def __init__(self, do: Door, engine: Engine, owner: Owner, cluster: str, image: Callable[[], Artifact]) -> None:
        self._do = do
        self._engine = engine
        self._image = image
        self._owner = owner
        self._cluster = cluster
        self.name = registry_of(cluster)
        self._digests: dict[str, str] = {}  # by reference, as this process has pushed them
        # under --dry, whether it would be gone by now, and where it would answer
        self._would_be_gone = False
        self._would_answer = ""

    def available(self) -> bool:
        """Whether it is there, or there is an image that it can run."""
        return bool(self._container()) or self._image().present

    def address(self) -> str:
        """Where this machine reaches it (host:port), or "" if there is none or it does not run."""
        container = self._container()
        if container is None or container.status != "running":
            return self._would_answer
        (binding,) = container.attrs["NetworkSettings"]["Ports"][f"{PORT}/tcp"]
        return f"127.0.0.1:{binding['HostPort']}"

    def listens(self) -> bool:
        """Whether it takes connections."""
        host, _, port = self.address().partition(":")
        with socket.socket() as probe:
            return bool(port) and probe.connect_ex((host, int(port))) == 0

    def serve(self) -> None:
        """Start it, created first if necessary, if there is an image that it can run. Raises OwnershipError, EngineError."""
        self.require_free()
        container, image, did = self._container(), self._image(), True
        if container and container.status != "running":
            self._digests.clear()  # what it holds is in memory
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
        """Push the image of that name, unless this process has. Raises EngineError, ImageError."""
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
        """Let the nodes pull an image that was pushed under the first of its names; try again for `patience` seconds, unless it
        is `abandoned`.

        They do so by the digest that the push returned: whoever reaches the registry may push another image of that name.
        Raises EngineError.
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
        except EngineError as error:  # the last line has the reason
            reason = error.sentence.splitlines()[-1]
            raise EngineError(f"Node {node.name} cannot pull from registry {self.name}: {reason}") from error

    def _pull(self, names: Sequence[str], digest: str = "") -> list[str]:
        """The words that make a node pull the image, by its digest if that is known, and call it as if it had been loaded."""
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
        """Remove it, if it is there and ours."""
        container = self._container()
        if container is not None:
            remove = ["docker", "rm", "--force", "--volumes", self.name]
            self._would_be_gone = not self._do.did(remove, lambda: self._engine.remove(container))

    def require_free(self) -> None:
        """Raises OwnershipError if a container of that name is not ours."""
        if self._engine.container(self.name) and self._container() is None:
            raise foreign(f"A container {self.name}")

    @property
    def _labels(self) -> dict[str, str]:
        return {**self._owner.labels, self._owner.key("cluster"): self._cluster}

    def _container(self) -> "Container | None":
        container = self._engine.container(self.name)
        if container is None or self._would_be_gone:
            return None
        return container if self._labels.items() <= container.labels.items() else None
