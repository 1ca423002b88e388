"""The place of a benchmark's figures in a page of docs/."""

from collections.abc import Sequence
from pathlib import Path

FIGURES = "<!-- figures -->"
SECTION = "\n## "


def write(page: Path, lines: Sequence[str]) -> None:
    """Put the lines between the line FIGURES and the next section, if there is one."""
    before, _, after = page.read_text().partition(FIGURES)
    page.write_text("\n".join([f"{before}{FIGURES}", "", *lines, "".join(after.partition(SECTION)[1:])]))
