"""The classes behind the fixtures of `pytest_plugin`: a run's cluster, the application in one of its namespaces, and requests."""

import tempfile
from pathlib import Path


def shared_folder(token: str) -> Path:
    """Return the folder that the processes of the run `token` share; the first of them to request a cluster creates it."""
    return Path(tempfile.gettempdir()) / f"kubetasks-{token}"
