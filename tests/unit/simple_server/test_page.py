"""The page as text; tests/core and tests/thorough test it in a browser."""

import base64
import hashlib
import re

import pytest

from simple_server.identity import Identity
from simple_server.page import Page
from tests.unit.simple_server.wsgi import BROWSER, application, call, count_of

HTML = [BROWSER, "text/html", "TEXT/HTML; q=0.5", "text/html, application/json"]
UNWANTED = [f"text/html;q={quality}" for quality in ("0.5, application/json", "0", "0.000", "much", "", "nan")]
OTHERS = [*UNWANTED, "application/json", "*/*", "text/htmlx", ""]


@pytest.mark.parametrize(("accept", "html"), [*((one, True) for one in HTML), *((one, False) for one in OTHERS)])
def test_a_client_that_prefers_html_gets_the_page(accept: str, html: bool) -> None:
    assert call(application(), accept=accept).headers["Content-Type"].startswith("text/html" if html else "application/json")


def test_the_page_counts_and_reports_the_identity() -> None:
    app = application()
    assert count_of(app) == 1
    text = call(app, accept=BROWSER).body.decode()
    assert '<dd id="pod">pod-1</dd>' in text
    assert '<dd id="count">2</dd>' in text
    assert '<dd id="build">build-1</dd>' in text
    assert count_of(app) == 3


def test_names_are_escaped_and_the_start_is_a_date_that_a_person_reads_without_a_script() -> None:
    text = Page(Identity("<script>$count</script>", "node-1", "${style}", "2026-11-28T20:31:05Z")).render(7)
    assert "&lt;script&gt;$count&lt;/script&gt;" in text
    assert '<dd id="build">${style}</dd>' in text
    assert 'datetime="2026-11-28T20:31:05Z">since 2026-11-28 20:31:05 UTC</time>' in text


def test_the_policy_allows_the_style_and_script_of_the_page_and_nothing_else() -> None:
    answer = call(application(), accept=BROWSER)
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert not re.search("unsafe|http|\\*", answer.headers["Content-Security-Policy"])
    for tag in ("style", "script"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", answer.body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert policy[f"{tag}-src"] == f"'sha256-{digest}'"
    assert not re.search(r"\s(on\w+|style|src)=", answer.body.decode()), "an inline handler or style would be blocked"
