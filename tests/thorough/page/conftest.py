"""Fixtures for the tests of the page and the website, which need no engine."""

import pytest

from tests.support.browser import browser, open_page  # noqa: F401


@pytest.fixture(autouse=True)
def engine_lock() -> None:
    """Take no lock: these tests may run next to one that has the engine to itself."""
