"""The Sphinx configuration of the site, whose source ci/site.py writes."""

from pathlib import Path
from typing import Any

project = "simple-server-tasks"
html_title = "Discovering Kubernetes, as tasks"
extensions = ["myst_parser"]
myst_heading_anchors = 4
smartquotes = False  # it would turn the two hyphens before an option into a dash
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it fetches each page, which browsers refuse for file: URLs

MENDED = {  # what the theme lacks
    "<head>": '<head><link rel="icon" href="data:,">',  # otherwise browsers request one
    'role="heading"': 'role="heading" aria-level="2"',
    '<aside class="sidebar-drawer"': '<aside aria-label="Menu" class="sidebar-drawer"',
    '<aside class="toc-drawer': '<aside aria-label="This page" class="toc-drawer',
    "<pre>": '<pre tabindex="0">',  # so that a long line can be scrolled by keyboard
}


def setup(app: Any) -> None:
    """Fix the pages once they are written."""
    app.connect("build-finished", mend)


def mend(app: Any, error: Exception | None) -> None:
    """Add what axe-core finds missing in the theme's pages."""
    for page in Path(app.outdir).glob("*.html") if not error else ():
        text = page.read_text()
        for left_out, mended in MENDED.items():
            text = text.replace(left_out, mended)
        page.write_text(text)
