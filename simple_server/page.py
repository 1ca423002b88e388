"""The page that a browser gets: one answer, with its style and its script inside, and a policy that allows nothing else."""

import base64
import hashlib
import html
from pathlib import Path
from string import Template

from simple_server.identity import Identity

FOLDER = Path(__file__).parent / "page"


def prefers_html(accept: str) -> bool:
    """Whether an Accept header names text/html, and no less gladly than application/json."""
    accept = accept.lower()
    if "text/html" not in accept:  # nor is it in most that are no browser's
        return False
    wishes = {}
    for part in accept.split(","):
        media, *parameters = (word.strip() for word in part.split(";"))
        wishes[media] = next((_quality(word[2:]) for word in parameters if word.startswith("q=")), 1.0)
    html_wish = wishes.get("text/html", 0.0)
    return html_wish > 0 and html_wish >= wishes.get("application/json", 0.0)


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _source(text: str) -> str:
    """As Content-Security-Policy names an inline script or style: by the digest of its text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


class Page:
    """`policy` is the Content-Security-Policy to send with it."""

    def __init__(self, identity: Identity) -> None:
        style, script = ((FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
        words = {"pod": identity.pod, "build": identity.build, "started": identity.started}
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
        """The page that this request, the `count`-th, is answered with."""
        return self._template.substitute(count=count)
