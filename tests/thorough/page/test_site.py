"""The documentation website, as `inv docs` builds it: in Chromium, by keyboard, on a phone, in both colour schemes."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import Page, expect

from ci import site
from tasks import ns
from tests.support.browser import PHONE, OpenPage, accessible

PAGES = ("index", "tutorial", "tasks", "use")
STOPS = 10  # Tab presses, at most, from the top of a page to its search box


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site's folder."""
    html = tmp_path_factory.mktemp("html")
    assert site.write(html, ns) == 0
    return html


@pytest.fixture(scope="module")
def url(built: Path) -> Iterator[str]:
    """The URL of the served site."""
    with site.server(0, built) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_fault_in_light_and_dark(url: str, open_page: OpenPage, name: str, scheme: str) -> None:
    accessible(open_page(f"{url}{name}.html", color_scheme=scheme))


def test_on_a_phone_nothing_is_wider_than_the_screen_and_the_menu_opens(url: str, open_page: OpenPage) -> None:
    shown = open_page(f"{url}tutorial.html", viewport=PHONE)
    assert shown.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    shown.locator("label.nav-overlay-icon").click()
    shown.get_by_role("link", name="Use the tasks", exact=True).click()
    expect(shown).to_have_title(re.compile("^Use the tasks"))


def test_the_keyboard_leads_to_the_text_and_to_a_search_result(url: str, open_page: OpenPage) -> None:
    shown = open_page(url)
    shown.keyboard.press("Tab")
    focused = shown.evaluate("document.activeElement.getAttribute('href')")
    assert focused == "#furo-main-content", "the first stop skips the menu"
    search(shown, "replica")


def test_the_search_works_from_the_files_alone(built: Path, open_page: OpenPage) -> None:
    search(open_page(f"file://{built}/index.html"), "replica")


def search(shown: Page, word: str) -> None:
    """Search for a word with the keyboard, and open the tutorial from the results."""
    box = shown.get_by_role("textbox", name="Search")
    for _ in range(STOPS):
        if box.evaluate("box => box === document.activeElement"):
            break
        shown.keyboard.press("Tab")
    shown.keyboard.type(word)
    shown.keyboard.press("Enter")
    result = shown.get_by_role("main").get_by_role("link", name="Discovering Kubernetes", exact=True)
    expect(result).to_be_visible()
    result.focus()
    shown.keyboard.press("Enter")
    expect(shown).to_have_title(re.compile("^Discovering Kubernetes - "))


def test_every_link_and_anchor_leads_somewhere(built: Path) -> None:
    pages = {path: path.read_text() for path in built.rglob("*.html")}
    broken = []
    for path, text in pages.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', text):
            parts = urlsplit(link)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if parts.scheme in ("http", "https", "data"):
                continue
            if not target.exists() or (parts.fragment and f'id="{parts.fragment}"' not in pages.get(target, "")):
                broken.append(f"{path.name}: {link}")
    assert broken == []
    assert len(pages) > len(PAGES)
