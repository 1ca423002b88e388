"""The page of one server: with a keyboard, with axe, on a phone, in both colour schemes, without JavaScript."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import PHONE, OpenPage, accessible
from tests.unit.simple_server.process import Server, running

PAUSE = 200  # milliseconds between two requests in live mode


@pytest.fixture
def server() -> Iterator[Server]:
    with running("--log-format=none") as one:
        yield one


@pytest.fixture
def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/"


@pytest.fixture
def open_page(server: Server, open_page: OpenPage) -> OpenPage:  # noqa: ARG001
    """Close the pages before the server stops."""
    return open_page


def count(page: Page) -> int:
    return int(page.locator("#count").inner_text())


def test_live_mode_can_be_switched_on_and_off(open_page: OpenPage, url: str) -> None:
    page = open_page(url)
    assert page.locator("#address").inner_text() == urlsplit(url).netloc
    assert page.locator("#way-pod").inner_text() == "pod-1"
    assert page.locator("#way-node").inner_text() == page.locator("#node").inner_text()
    page.clock.install()
    live = page.get_by_role("button", name="Live mode")
    expect(live).to_have_attribute("aria-pressed", "false")
    live.click()
    expect(live).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#last li").nth(2)).to_be_visible()
    live.click()
    expect(live).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("status")).to_have_text("1 pod answers")
    asked = count(page)
    for _ in range(5):
        page.clock.run_for(PAUSE)
        page.evaluate("fetch('/healthz').then(response => response.ok)")  # takes as long as a request that is still in flight
    page.reload()
    assert count(page) - asked <= 2, "the reload, and the request that was in flight"


def test_a_missing_answer_is_shown(open_page: OpenPage, url: str) -> None:
    page = open_page(url)
    page.route("**/?close", lambda route: route.fulfill(status=204))
    page.get_by_role("button", name="Live mode").click()
    expect(page.get_by_role("status")).to_contain_text("without an answer")
    expect(page.locator("#last li.none").first).to_have_attribute("title", re.compile("^no answer: .+"))


def test_by_keyboard_alone(open_page: OpenPage, url: str) -> None:
    page = open_page(url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Refresh")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#count")).to_have_text("2")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    live = page.get_by_role("button", name="Live mode")
    expect(live).to_be_focused()
    assert live.evaluate("element => getComputedStyle(element).outlineStyle") == "solid", "the focus is visible"
    page.keyboard.press("Space")
    expect(live).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#bars li")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(live).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_axe_finds_nothing(open_page: OpenPage, url: str, scheme: str) -> None:
    page = open_page(url, color_scheme=scheme, reduced_motion="reduce", viewport=PHONE)
    accessible(page)
    page.get_by_role("button", name="Live mode").click()
    expect(page.locator("#last li")).not_to_have_count(0)
    accessible(page)


def test_on_a_phone_nothing_is_cut_off(open_page: OpenPage, url: str) -> None:
    page = open_page(url, viewport=PHONE, has_touch=True, is_mobile=True)
    page.get_by_role("button", name="Live mode").tap()
    expect(page.locator("#last li").nth(14)).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    for button in page.locator(".button").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 44, "a finger's width, in pixels of CSS"


@pytest.mark.parametrize(("minutes", "text"), [(0, "less than a minute"), (3, "3 min"), (150, "2 h"), (60 * 24 * 40, "40 d")])
def test_how_long_it_has_run_is_told_as_a_person_says_it(open_page: OpenPage, url: str, minutes: int, text: str) -> None:
    page = open_page(url)
    started = page.locator("#started")
    at = datetime.fromisoformat(str(started.get_attribute("datetime")))
    page.clock.install(time=at + timedelta(minutes=minutes, seconds=9))
    page.reload()
    expect(started).to_have_text(text)
    expect(started).to_have_attribute("title", str(started.get_attribute("datetime")))


def test_without_javascript_a_reload_shows_the_next_count(open_page: OpenPage, url: str) -> None:
    page = open_page(url, java_script_enabled=False)
    expect(page.locator("noscript p")).to_be_visible()
    expect(page.locator("#live")).to_be_hidden()
    page.get_by_role("link", name="Refresh").click()
    expect(page.locator("#count")).to_have_text("2")
