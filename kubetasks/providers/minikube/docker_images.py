"""The application's images in a node that runs Docker."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kubetasks.engine.client import Engine
from kubetasks.engine.image import all_mean_one
from kubetasks.project.application import Application
from kubetasks.terminal import equivalents
from kubetasks.terminal.report import Report

if TYPE_CHECKING:
    from kubetasks.engine.client import Container


def listed(engine: Engine, node: "Container") -> dict[str, str]:
    """The names of all images in the node, and their ids."""
    lines = engine.run_in(node, "docker", "images", "--no-trunc", "--format={{.Repository}}:{{.Tag}} {{.ID}}")
    return dict(line.split() for line in lines.splitlines())


def names(engine: Engine, node: "Container", app: Application) -> list[str]:
    """The names of the application's images: APP:TAG."""
    return sorted(name for name in listed(engine, node) if name.startswith(f"{app.name}:"))


def has(engine: Engine, node: "Container", wanted: Sequence[str]) -> bool:
    """Whether the node has the image under all of these names (APP:TAG), each of which means the same one."""
    return all_mean_one(listed(engine, node), wanted)


def remove_unused(engine: Engine, report: Report, node: "Container", app: Application, used: Callable[[], set[str]]) -> set[str]:
    """Remove the application's images, except those that `used` returns; return their names."""
    found = names(engine, node, app)
    kept = used() if found else set()
    gone = [name for name in found if name not in kept]
    argv = ["docker", "rmi", *gone]
    if gone and report.equivalent(equivalents.run_in(str(node.name), argv)):
        engine.run_in(node, *argv)
    return set(gone)
