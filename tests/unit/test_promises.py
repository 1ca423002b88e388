"""Each sentence of the README, and of docs/use.md up to its settings, has tests that show it, marked with its first words, or a
reason in tests/README.md why it has none.
"""

import ast
import re
from collections.abc import Collection
from pathlib import Path

import pytest

from tasks import PROJECT

TESTS = Path(__file__).parents[1]
TESTED = "tested"  # in a row: tests show part of the sentence
MEASURED = re.compile(r"measured \(\[[^]]+\]\([^)]+\)\)")  # with a link to the figure


def sentences(readme: str) -> list[str]:
    """Return the README's sentences and the rows of its tables, without code, headings and images."""
    found: list[str] = []
    prose = re.sub(r"^```.*?^```", "", readme, flags=re.MULTILINE | re.DOTALL)
    for section in re.split(r"^#+ ", prose, flags=re.MULTILINE):
        text = section.partition("\n")[2]
        for block in re.split(r"\n(?:\s*\n|(?=[-*] |\d+\. ))", f"\n{text}"):  # or an item of a list
            if block.startswith("|"):
                found += [row.strip("| ") for row in block.splitlines()[2:]]
            elif not block.startswith(("    ", "![")):
                found += re.split(r"(?<=[.?!]) ", " ".join(block.split()))
    return [sentence for sentence in found if sentence]


def faults(promises: list[str], page: str, marked: Collection[str]) -> list[str]:
    """Return what is wrong with the marks of tests and with the page's table, each with the sentence or the words."""
    section = page.partition("\n## Promises\n")[2].partition("\n## ")[0]
    introduction, _, table = section.partition("\n|")
    rows = [line.strip("| ").partition(" | ")[::2] for line in table.splitlines()[2:] if line]
    reasons = {*re.findall(r"\*\*(\w+)\*\*", introduction)} - {"measured"}
    beginnings = {*marked, *(says for says, _ in rows)}
    found: list[str] = []
    for sentence in promises:
        its = [words for words in beginnings if sentence.startswith(words)]
        if len(its) != 1:
            found.append(f"{len(its)} marks or rows for: {sentence}")
    for words in beginnings:
        begun = [sentence for sentence in promises if sentence.startswith(words)]
        if len(begun) != 1:
            found.append(f"{len(begun)} sentences for: {words}")
    for says, why in rows:
        parts = why.split(", ")
        found += [f"no reason: {one}, in the row: {says}" for one in parts if one not in reasons and not MEASURED.fullmatch(one)]
        if (TESTED in parts) != (says in marked):
            found.append(f"{TESTED} in the row and marks of tests do not agree: {says}")
    return found


def marks(folder: Path) -> dict[str, set[str]]:
    """Return the words that each test in a folder is marked with, by its id below tests/."""
    found: dict[str, set[str]] = {}
    for path in folder.rglob("test_*.py"):
        for test in ast.parse(path.read_text()).body:
            if isinstance(test, ast.FunctionDef) and test.name.startswith("test_"):
                calls = [one for one in test.decorator_list if isinstance(one, ast.Call)]
                marked = [words for one in calls if ast.unparse(one.func) == "pytest.mark.promise" for words in one.args]
                found[f"{path.relative_to(TESTS)}::{test.name}"] = set(map(ast.literal_eval, marked))
    return found


def test_each_sentence_of_the_readme_has_a_test_or_a_reason() -> None:
    readme, use = ((PROJECT.folder / name).read_text() for name in ("README.md", "docs/use.md"))
    promises = sentences("\n".join([readme, use.partition("\n## Settings\n")[0]]))
    found = faults(promises, (TESTS / "README.md").read_text(), set().union(*marks(TESTS).values()))
    assert not found, "\n".join(found)


@pytest.mark.promise("`./inv setup test` checks the main statements")
def test_each_test_of_core_shows_a_sentence_of_the_readme() -> None:
    promises = sentences((PROJECT.folder / "README.md").read_text())
    of_core = marks(TESTS / "core")
    assert of_core
    assert [name for name, words in of_core.items() if not any(one.startswith(tuple(words)) for one in promises)] == []
