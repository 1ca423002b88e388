"""What benchmarks share: the Python that they need, and the place of their figures in the page."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).parent / "README.md"
SECTION = "\n## "


def require_the_tests() -> None:
    """Exit with a sentence if this is not the Python of the tests, whose modules some benchmarks import."""
    if importlib.util.find_spec("pytest") is None:
        python = ".tox/integration/bin/python"
        sys.exit(f"This benchmark needs the packages of the tests: ./inv setup test; {python} {sys.argv[0]}")


def write(name: str, lines: Sequence[str], until: str = SECTION) -> None:
    """Put the lines between the mark of that name in the page and the next section, or what `until` begins."""
    before, mark, after = PAGE.read_text().partition(f"<!-- {name} -->\n")
    PAGE.write_text("\n".join([f"{before}{mark}", *lines, "".join(after.partition(until)[1:])]))
