"""What benchmarks share: the Python that they need, and the place of their figures on the page."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

PAGE = Path(__file__).with_name("README.md")
HEADING = "\n#"


def require_the_tests() -> None:
    """Exit with a message if this Python lacks the packages of the tests, whose modules some benchmarks import."""
    if importlib.util.find_spec("pytest") is None:
        python = ".tox/integration/bin/python"
        sys.exit(f"This benchmark needs the packages of the tests: ./inv setup test; {python} {sys.argv[0]}")


def mark(name: str) -> str:
    """Return the line of the page after which a benchmark writes its figures."""
    return f"<!-- {name} -->\n"


def write(name: str, lines: Sequence[str], page: Path = PAGE) -> None:
    """Replace everything between a name's mark and the next heading. Raises ValueError unless the mark occurs exactly once."""
    text = page.read_text()
    if text.count(mark(name)) != 1:
        raise ValueError(f"{page} needs the line {mark(name).strip()} once")
    before, _, after = text.partition(mark(name))
    page.write_text("\n".join([f"{before}{mark(name)}", *lines, "".join(after.partition(HEADING)[1:])]))
