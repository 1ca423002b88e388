"""What benchmarks share: the Python that they need, and the place of their figures in a page of docs/."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

FIGURES = "<!-- figures -->"
SECTION = "\n## "


def require_the_tests() -> None:
    """Exit with a sentence if this is not the Python of the tests, whose modules some benchmarks import."""
    if importlib.util.find_spec("pytest") is None:
        python = ".tox/integration/bin/python"
        sys.exit(f"This benchmark needs the packages of the tests: ./inv setup test; {python} {sys.argv[0]}")


def write(page: Path, lines: Sequence[str], mark: str = FIGURES) -> None:
    """Put the lines between the line `mark` and the next section, if there is one."""
    before, _, after = page.read_text().partition(mark)
    page.write_text("\n".join([f"{before}{mark}", "", *lines, "".join(after.partition(SECTION)[1:])]))
