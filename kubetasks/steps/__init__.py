"""The steps that tasks are made of: each shows its mirrored commands, changes nothing under --dry, and can be run twice.

A module of them is loaded when it is first asked for: the list of the tasks needs none.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubetasks.steps import cluster as cluster
    from kubetasks.steps import deployment as deployment
    from kubetasks.steps import matrix as matrix
    from kubetasks.steps import session as session
    from kubetasks.steps import traffic as traffic


def __getattr__(name: str) -> ModuleType:
    module = f"{__name__}.{name}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:  # what a step itself imports is missing: that is to be told as it is
            raise
        raise AttributeError(name) from error
