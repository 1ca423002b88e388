"""The work behind the tasks, a module of the same name for each theme.

Each action can be run twice, and makes its changes through a door that prints the command for each (`terminal/door`). What is
wanted is data (`desired`), `converge` makes the change and `waits` for it. `seen` is one look at the cluster: `kube.readiness`
decides about its rollout, and `judge` about its service. `run` is what the actions of one invocation share. Options and tables
belong to `kubetasks.tasks`.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubetasks.pipeline import app, build, cluster, dev, diagnose, probe, removal, service, status

__all__ = ["app", "build", "cluster", "dev", "diagnose", "probe", "removal", "service", "status"]  # the actions of tasks


def __getattr__(name: str) -> Any:
    """Import a module when it is used: the list of the tasks loads none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
