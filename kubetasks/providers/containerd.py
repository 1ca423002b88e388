"""Find and remove the application's images in a node's containerd, by digest.

Besides APP:TAG, containerd has the references `sha256:...`, under which the CRI plugin keeps an image that has no other name,
and `import-DATE@sha256:...`, the index of an imported archive.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubetasks.engine.client import Engine
from kubetasks.engine.image import familiar
from kubetasks.errors import EngineError
from kubetasks.project.words import INV
from kubetasks.terminal.door import At, Door

if TYPE_CHECKING:
    from kubetasks.engine.client import Container

ARCHIVE = "import-"
CTR = ("ctr", "--namespace=k8s.io")
END = """\
timeout 5 systemctl stop kubelet docker containerd
find /sys/fs/cgroup -name freezer.state -exec sh -c 'for file; do echo THAWED > "$file"; done' sh {} +
"""


@dataclass(frozen=True)
class Reference:
    """A reference in containerd to an image or an index, and its digest."""

    name: str
    digest: str

    @property
    def short(self) -> str:
        return familiar(self.name)


def run_in(do: Door, engine: Engine, name: str, *argv: str) -> None:
    """Run a command in the node `name`, which need not exist under --dry. Raises EngineError."""

    def run(_at: At) -> None:
        node = engine.container(name)
        if node is None:
            raise EngineError(f"There is no node {name}.", f"{INV} delete start creates the cluster again")
        engine.run_in(node, *argv)

    do(["docker", "exec", name, *argv], run)


def end(engine: Engine, node: "Container", mark: str = "") -> None:
    """Stop the services that start containers in a node that will be stopped or deleted; first remove the file `mark`, if given.

    On cgroup v1 a runtime freezes a container briefly while it sets it up. If the runtime is killed at that moment, the
    container stays frozen and never exits, and neither does its node: so thaw all containers.
    """
    with suppress(EngineError):  # the node is not running
        engine.run_in(node, "sh", "-c", (f"rm --force {mark}\n" if mark else "") + END)


def _listed(engine: Engine, node: "Container", app: str = "") -> list[Reference]:
    """Return a node's image references, or only the ones named `app`, which is faster: ctr inspects each image that it lists."""
    chosen = [f'name~="^(docker.io/(library/)?)?{app}:"'] if app else []
    rows = [line.split() for line in engine.run_in(node, *CTR, "images", "ls", *chosen).splitlines()[1:]]  # after the header
    return [Reference(row[0], row[2]) for row in rows if len(row) > 2]


def has(engine: Engine, node: "Container", wanted: Sequence[str]) -> bool:
    """Whether a node has all of these names (APP:TAG), and all refer to the same image."""
    known = {reference.short: reference.digest for reference in _listed(engine, node, wanted[0].rpartition(":")[0])}
    return wanted[0] in known and len({known.get(name) for name in wanted}) == 1


def remove_unused(engine: Engine, do: Door, node: "Container", names: Sequence[str], used: Callable[[], set[str]]) -> set[str]:
    """Remove the images called `names`, with all their references, from a node, except images that `used` (NAME:TAG) refers to.

    Return the NAME:TAG references of the removed images.
    """
    references = _listed(engine, node)
    own = [reference for reference in references if reference.short.partition(":")[0] in names]
    kept = used() if own else set()
    gone = {reference.digest for reference in own} - {reference.digest for reference in own if reference.short in kept}

    def pins(reference: Reference) -> bool:
        """Whether it is the index of an imported archive that has only images to remove."""
        if not reference.name.startswith(ARCHIVE):
            return False
        index = json.loads(engine.run_in(node, *CTR, "content", "get", reference.digest))
        return {manifest["digest"] for manifest in index["manifests"]} <= gone

    if gone:
        going = [reference.name for reference in references if reference.digest in gone or pins(reference)]
        argv = [*CTR, "images", "rm", "--sync", *going]
        do(["docker", "exec", str(node.name), *argv], lambda _: engine.run_in(node, *argv))
    return {reference.short for reference in own if reference.digest in gone}
