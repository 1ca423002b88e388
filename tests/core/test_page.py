"""The page: it counts reloads, live mode draws a bar for each pod that answers, and axe-core finds no violation."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.answers import REQUESTS
from tests.support.browser import MILLISECONDS, OpenPage, accessible
from tests.support.diagnosis import REPORTS
from tests.support.driver import Tasks


@pytest.mark.promise("Open the first address")
def test_each_reload_is_counted_and_of_three_pods_each_answers_some(app: Tasks, open_page: OpenPage) -> None:
    app("build", "deploy", "expose")
    shown = open_page(app.url())
    assert shown.locator("#count").inner_text() == "1", "the browser sends no other request that counts"
    shown.reload()
    assert shown.locator("#count").inner_text() == "2"
    assert {shown.locator("#pod").inner_text()} == app.pods()

    app("scale")
    shown = open_page(app.url(), java_script_enabled=False)
    seen = set()
    for _ in range(REQUESTS):
        seen.add(shown.locator("#pod").inner_text())
        shown.reload()
    assert seen == app.pods()


@pytest.mark.promise("**Live mode** keeps polling", "Run `./inv scale --replicas=1`")
def test_live_mode_draws_a_bar_for_each_of_three_pods_and_two_of_them_stop(app: Tasks, open_page: OpenPage) -> None:
    app("build", "deploy", "expose", "scale")
    url = app.url()
    for scheme in ("dark", "light"):
        shown = open_page(url, color_scheme=scheme, viewport={"width": 800, "height": 800})
        shown.get_by_role("button", name="Live mode").click()
        bars = shown.locator("#bars li")
        expect(bars).to_have_count(3)
        expect(shown.locator("#last li")).to_have_count(40)
        # without "$": on a busy machine one answer may take longer than the page waits; test_scale proves that none is lost
        expect(shown.get_by_role("status")).to_have_text(re.compile("^3 pods answer"))
        accessible(shown)
        shown.screenshot(path=REPORTS / f"page-{scheme}.png", full_page=True)

    pods = app.pods()
    names = shown.locator("#bars .name")
    assert {name[1:] for name in names.all_inner_texts()} == pods
    assert shown.locator("#way-pod").inner_text() in pods
    node = app.nodes()[0]
    assert shown.locator("#node").inner_text() == node
    assert all(f"node {node}" in text for text in shown.locator("#bars .number").all_inner_texts())
    widths = [float(bar.evaluate("element => parseFloat(element.style.width)")) for bar in shown.locator("#bars .bar").all()]
    assert max(widths) == 100
    assert min(widths) > 0

    app("scale", "--replicas=1")
    expect(shown.get_by_role("status")).to_have_text(re.compile("^1 pod answers"), timeout=2 * MILLISECONDS)
    expect(shown.locator("#bars li.quiet")).to_have_count(2)
    expect(bars).to_have_count(3)
