"""Sphinx's configuration for the site; ci/site.py writes the source that it is used on."""

from pathlib import Path
from typing import Any

project = "simple-server-tasks"
html_title = "Discovering Kubernetes, as tasks"
extensions = ["myst_parser"]
myst_heading_anchors = 4
smartquotes = False  # it would make one dash of the two before an option
html_theme = "furo"
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # it fetches each page, which a browser refuses if the site is opened from its files

MENDED = {  # what the theme leaves out
    "<head>": '<head><link rel="icon" href="data:,">',  # a browser asks for one
    'role="heading"': 'role="heading" aria-level="2"',
    '<aside class="sidebar-drawer"': '<aside aria-label="Menu" class="sidebar-drawer"',
    '<aside class="toc-drawer': '<aside aria-label="This page" class="toc-drawer',
    "<pre>": '<pre tabindex="0">',  # a long line scrolls: by keyboard too
}


def setup(app: Any) -> None:
    """Mend the pages once they are written."""
    app.connect("build-finished", mend)


def mend(app: Any, error: Exception | None) -> None:
    """Add to the theme's pages what axe-core misses in them."""
    for page in Path(app.outdir).glob("*.html") if not error else ():
        text = page.read_text()
        for left_out, mended in MENDED.items():
            text = text.replace(left_out, mended)
        page.write_text(text)
