"""The HTML page: one response with its style and script inline, and a Content-Security-Policy that allows nothing else."""

import base64
import hashlib
import html
from pathlib import Path
from string import Template

from simple_server.identity import Identity

FOLDER = Path(__file__).parent


def prefers_html(accept: str) -> bool:
    """Return whether an Accept header names text/html with at least the quality of application/json."""
    accept = accept.lower()
    if "text/html" not in accept:  # true of most clients but browsers: skip the parsing
        return False
    qualities = {}
    for part in accept.split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        qualities[media] = next((_quality(word[2:]) for word in parameters if word.startswith("q=")), 1.0)
    html_quality = qualities.get("text/html", 0.0)
    return html_quality > 0 and html_quality >= qualities.get("application/json", 0.0)


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _source(text: str) -> str:
    """Return the Content-Security-Policy source of an inline script or style: the digest of its text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class Page:
    """The page of one server; `policy` is the Content-Security-Policy to send with it."""

    def __init__(self, identity: Identity) -> None:
        style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
        words = {"pod": identity.pod, "node": identity.node, "build": identity.build, "started": identity.started}
        words["started_text"] = "since " + identity.started.replace("T", " ").replace("Z", " UTC")
        self._template = Template(
            Template((FOLDER / "page.html").read_text(encoding="utf-8")).safe_substitute(
                {name: html.escape(word).replace("$", "$$") for name, word in words.items()},
                style=style.replace("$", "$$"),
                script=script.replace("$", "$$"),
            )
        )
        self.policy = "; ".join(
            (
                "default-src 'none'",
                f"style-src {_source(style)}",
                f"script-src {_source(script)}",
                "connect-src 'self'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
            )
        )

    def render(self, count: int) -> str:
        """Return the page for the `count`-th request."""
        return self._template.substitute(count=count)
