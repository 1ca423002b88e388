"""Fixtures: a real Chromium, and pages that must not log errors or send requests to other addresses."""

import os
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ci import browsers

OpenPage = Callable[..., Page]
PHONE = {"width": 360, "height": 640}
MILLISECONDS = 30_000
expect.set_options(timeout=MILLISECONDS)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Start the Chromium on PATH; its own files stay out of the home folder."""
    program = browsers.find()
    assert program, f"none of {', '.join(browsers.PROGRAMS)} is on PATH"
    aside = {"XDG_CONFIG_HOME": str(tmp_path_factory.mktemp("config")), "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, env={**os.environ, **aside})
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """A function that opens a URL in a new browser context, with playwright's options for a context.

    The test fails at its end if the console has an error or a warning, or if a page sent a request to another address. Errors
    because other tests' clusters change this machine's networks are ignored: such a request is sent again.
    """
    complaints, asked, allowed = list[str](), set[str](), {""}  # "" for data: and file: URLs

    def open_one(url: str, **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        allowed.add(urlsplit(url).netloc)
        context.set_default_timeout(MILLISECONDS)
        context.on("console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None)
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        page = context.new_page()
        page.goto(url)
        return page

    yield open_one
    for context in browser.contexts:
        context.close()
    assert [told for told in complaints if "net::ERR_NETWORK_CHANGED" not in told] == []
    assert asked <= allowed


def accessible(page: Page) -> None:
    """Assert that axe-core finds no violation in the page as it is shown."""
    found = Axe().run(page).response
    assert found["passes"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
