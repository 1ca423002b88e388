"""The fixtures of tests of the page, which need no engine."""

import pytest

from tests.support.browser import browser, open_page  # noqa: F401


@pytest.fixture(autouse=True)
def engine_lock() -> None:
    """They run beside a test that has the engine alone."""
