"""Fixtures: a real Chromium, a page that may neither complain nor ask elsewhere, and the clusters of tests/integration."""

import shutil
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

# the same run, cluster and clean-up
from tests.integration.conftest import (  # noqa: F401
    app,
    engine_lock,
    kind_cluster,
    mapped_port,
    pytest_configure,
    pytest_runtest_makereport,
    pytest_terminal_summary,
    pytest_unconfigure,
    this_run,
)

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 360, "height": 640}
MILLISECONDS = 30_000
expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, or the one that is on PATH."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, f"none of {', '.join(PROGRAMS)} is on PATH"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a URL in a context of its own, with playwright's options for one.

    At the end of the test: no error on its console, no request to another address than that one.
    """
    contexts, complaints, asked = list[BrowserContext](), list[str](), set[str]()
    allowed = set[str]()

    def open_one(url: str, **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        contexts.append(context)
        allowed.add(urlsplit(url).netloc)
        context.set_default_timeout(MILLISECONDS)
        context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("request", lambda request: asked.add(urlsplit(request.url)._replace(path="", query="", fragment="").geturl()))
        page = context.new_page()
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []
    assert {address for address in asked if address != "data:"} <= {f"http://{one}" for one in allowed}
