"""The page that the benchmarks write their figures to."""

import re
import runpy
from pathlib import Path

from tasks import PROJECT

FOLDER = PROJECT.folder / "benchmarks"
FIGURES = runpy.run_path(str(FOLDER / "figures.py"))
PAGE = "# Page\n\n## One\n\nProse.\n\n<!-- one -->\n\nold\n\n### Why\n\n- An item.\n\n## Two\n\n<!-- two -->\n\nold\n"


def test_a_benchmark_replaces_its_figures_up_to_the_next_heading_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for name in ("one", "two", "one"):
        FIGURES["write"](name, ["| new |", "|---|"], page)
    assert page.read_text() == PAGE.replace("old", "| new |\n|---|")


def test_the_page_has_a_place_for_each_benchmark_that_writes_and_for_no_other() -> None:
    text = "".join(path.read_text() for path in FOLDER.rglob("*.py"))
    marks = re.findall(r"^<!-- (\w+) -->$", FIGURES["PAGE"].read_text(), re.MULTILINE)
    assert sorted(marks) == sorted(re.findall(r'figures\.write\("(\w+)"', text))


def test_the_page_says_how_to_run_each_benchmark() -> None:
    text = FIGURES["PAGE"].read_text()
    programs = [path for path in FOLDER.glob("*.py") if "__main__" in path.read_text()]
    assert programs
    assert [path.name for path in programs if f" benchmarks/{path.name}" not in text] == []
    assert " benchmarks/server`" in text
