"""The application's images in a node that runs Docker."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kubetasks.engine.client import Engine
from kubetasks.project.application import Application
from kubetasks.terminal.door import Door

if TYPE_CHECKING:
    from kubetasks.engine.client import Container


def listed(engine: Engine, node: "Container") -> list[str]:
    """The names of all images in the node."""
    return engine.run_in(node, "docker", "images", "--format={{.Repository}}:{{.Tag}}").splitlines()


def remove_unused(engine: Engine, do: Door, node: "Container", app: Application, used: Callable[[], set[str]]) -> set[str]:
    """Remove the application's images, except those that `used` returns; return their names."""
    images = sorted(name for name in listed(engine, node) if name.startswith(f"{app.name}:"))
    kept = used() if images else set()
    gone = [name for name in images if name not in kept]
    argv = ["docker", "rmi", *gone]
    if gone:
        do(["docker", "exec", str(node.name), *argv], lambda _: engine.run_in(node, *argv))
    return set(gone)
