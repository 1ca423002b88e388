"""The installed package, for the tests of this folder."""

from pathlib import Path

import pytest

from tests.support import installed as package
from tests.support.run import Run


@pytest.fixture(scope="session")
def installed(this_run: Run) -> Path:
    """The folder of its programs."""
    return package.install(this_run)
