"""The work behind the tasks. Their options and the tables that they print are in `kubetasks.tasks`.

Every action can be run twice. It makes its changes through the door, which prints the equivalent command (`terminal/door`).
`desired` describes what is wanted as data, `converge` makes the change, and `waits` waits for it. `seen` is one look at the
cluster: `kube.readiness` judges the rollout in it, and `judge` the service. `run` is what the actions of one invocation share.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubetasks.pipeline import app, build, cluster, dev, diagnose, probe, removal, service, status

__all__ = ["app", "build", "cluster", "dev", "diagnose", "probe", "removal", "service", "status"]  # the modules that tasks call


def __getattr__(name: str) -> Any:
    """Import a module on first use, so that listing the tasks loads none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
