"""The fixtures of tests on clusters, and of the page."""

from tests.support.browser import browser, open_page  # noqa: F401

pytest_plugins = ("kubetasks.pytest_plugin", "tests.support.fixtures")
