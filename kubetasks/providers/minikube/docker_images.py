"""The application's images in a node that runs Docker."""

from typing import TYPE_CHECKING

from kubetasks import equivalents
from kubetasks.application import Application
from kubetasks.engine import Engine
from kubetasks.report import Report

if TYPE_CHECKING:
    from kubetasks.engine import Container


def listed(engine: Engine, node: "Container") -> set[str]:
    """The names of all images in the node."""
    return set(engine.run_in(node, "docker", "images", "--format={{.Repository}}:{{.Tag}}").split())


def names(engine: Engine, node: "Container", app: Application) -> list[str]:
    """The names of the application's images: APP:TAG."""
    return sorted(name for name in listed(engine, node) if name.startswith(f"{app.name}:"))


def remove_unused(engine: Engine, report: Report, node: "Container", app: Application, used: set[str]) -> set[str]:
    """Remove the application's images, except those in `used`; return their names."""
    gone = [name for name in names(engine, node, app) if name not in used]
    argv = ["docker", "rmi", *gone]
    if gone and report.equivalent(equivalents.run_in(str(node.name), argv)):
        engine.run_in(node, *argv)
    return set(gone)
