"""The images in a node that runs Docker."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kubetasks.engine.client import Engine
from kubetasks.terminal.door import Door

if TYPE_CHECKING:
    from kubetasks.engine.client import Container


def listed(engine: Engine, node: "Container") -> list[str]:
    """The names of all images in the node."""
    return engine.run_in(node, "docker", "images", "--format={{.Repository}}:{{.Tag}}").splitlines()


def remove_unused(engine: Engine, do: Door, node: "Container", names: Sequence[str], used: Callable[[], set[str]]) -> set[str]:
    """Remove the images of these names, except those that `used` returns; return their references."""
    images = sorted(reference for reference in listed(engine, node) if reference.partition(":")[0] in names)
    kept = used() if images else set()
    gone = [name for name in images if name not in kept]
    argv = ["docker", "rmi", *gone]
    if gone:
        do(["docker", "exec", str(node.name), *argv], lambda _: engine.run_in(node, *argv))
    return set(gone)
