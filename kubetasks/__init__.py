"""Tasks that bring a project's application to a cluster: `ns = namespace(Project(...))` in its tasks.py."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubetasks.project.application import Application, Project
    from kubetasks.project.labels import Owner
    from kubetasks.tasks import namespace

__all__ = ["Application", "Owner", "Project", "namespace"]
HOMES = {"Application": "project.application", "Owner": "project.labels", "Project": "project.application", "namespace": "tasks"}


def __getattr__(name: str) -> Any:
    """Import what is public when it is used: `python -m kubetasks` must be able to handle Ctrl-C before it imports more."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"kubetasks.{HOMES[name]}"), name)
