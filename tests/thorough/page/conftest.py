"""The fixtures of tests of the page."""

from tests.support.browser import browser, open_page  # noqa: F401
