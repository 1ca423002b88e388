"""Deploy an application to a Kubernetes cluster: tasks for invoke, and fixtures for pytest.

The public API is the names in `__all__`, the fixtures and options of `kubetasks.pytest_plugin`, the names of the tasks and
their settings, and the exit codes of `kubetasks.errors`. Everything else may change without notice.

In a project's tasks.py:

    from kubetasks import Project, namespace
    ns = namespace(Project.of("shop", __file__, port=8000, health="/healthz"))
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubetasks.errors import (
        ClusterError,
        EngineError,
        ExposeError,
        FileError,
        ImageError,
        LeftoverError,
        OwnershipError,
        ProgramError,
        RolloutError,
        SettingError,
        SetupError,
        TaskError,
    )
    from kubetasks.project.application import Project
    from kubetasks.tasks import namespace
    from kubetasks.testing.app import App
    from kubetasks.testing.cluster import Cluster
    from kubetasks.testing.namespace import Namespace
    from kubetasks.testing.traffic import Requests, Traffic

__all__ = [
    "App",
    "Cluster",
    "ClusterError",
    "EngineError",
    "ExposeError",
    "FileError",
    "ImageError",
    "LeftoverError",
    "Namespace",
    "OwnershipError",
    "ProgramError",
    "Project",
    "Requests",
    "RolloutError",
    "SettingError",
    "SetupError",
    "TaskError",
    "Traffic",
    "namespace",
]
HOMES = {
    "App": "testing.app",
    "Cluster": "testing.cluster",
    "Namespace": "testing.namespace",
    "Project": "project.application",
    "Requests": "testing.traffic",
    "Traffic": "testing.traffic",
    "namespace": "tasks",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `python -m kubetasks` must be able to handle Ctrl-C before it imports more."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"kubetasks.{HOMES.get(name, 'errors')}"), name)
