"""The page of a service shows which pods answer, and which no longer do."""

from playwright.sync_api import expect

from tests.browser.conftest import MILLISECONDS, OpenPage
from tests.integration.answers import REQUESTS
from tests.integration.diagnosis import REPORTS
from tests.integration.driver import Tasks


def test_live_mode_draws_a_bar_for_each_pod_and_two_of_three_stop(app: Tasks, mapped_port: None, open_page: OpenPage) -> None:  # noqa: ARG001
    app("build", "deploy", "expose", "scale")
    url = app("service").stdout.strip()
    for scheme in ("dark", "light"):
        page = open_page(url, color_scheme=scheme, viewport={"width": 800, "height": 800})
        page.get_by_role("button", name="Live mode").click()
        bars = page.locator("#bars li")
        expect(bars).to_have_count(3)
        expect(page.locator("#last li")).to_have_count(40)
        expect(page.get_by_role("status")).to_have_text("3 pods answer")
        page.screenshot(path=REPORTS / f"page-{scheme}.png", full_page=True)

    pods = {pod["metadata"]["name"] for pod in app.get("pods")["items"]}
    names = page.locator("#bars .name")
    assert {name[1:] for name in names.all_inner_texts()} == pods
    node = app.nodes()[0]
    assert page.locator("#node").inner_text() == node
    assert all(f"node {node}" in text for text in page.locator("#bars .number").all_inner_texts())
    widths = [float(bar.evaluate("element => parseFloat(element.style.width)")) for bar in page.locator("#bars .bar").all()]
    assert max(widths) == 100
    assert min(widths) > 0

    app("scale", "--replicas=1")
    expect(page.get_by_role("status")).to_have_text("1 pod answers", timeout=2 * MILLISECONDS)
    expect(page.locator("#bars li.quiet")).to_have_count(2)
    expect(bars).to_have_count(3)


def test_without_javascript_a_reload_shows_another_pod(app: Tasks, open_page: OpenPage) -> None:
    app("build", "deploy", "expose", "scale")
    page = open_page(app("service").stdout.strip(), java_script_enabled=False)
    seen = set()
    for _ in range(REQUESTS):
        seen.add(page.locator("#pod").inner_text())
        page.reload()
    assert len(seen) == 3
