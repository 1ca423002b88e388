"""The classes behind the fixtures of `pytest_plugin`: a run's cluster, the application in a namespace of it, and requests."""

import tempfile
from pathlib import Path


def shared_folder(token: str) -> Path:
    """The folder that the processes of the run with that token share; it is there once one of them has begun with a cluster."""
    return Path(tempfile.gettempdir()) / f"kubetasks-{token}"
