"""Each sentence of the README and of docs/use.md has a row in docs/testing.md: the tests that show it, or why none does."""

import ast
import re
from collections.abc import Collection
from pathlib import Path

from tasks import PROJECT

TESTS = Path(__file__).parents[1]
OTHER_TABLES = ("Where to go next",)  # sections whose tables promise nothing
MEASURED = re.compile(r"measured \(\[[^]]+\]\([^)]+\)\)")  # with a link to the figure


def sentences(readme: str) -> list[str]:
    """The README's sentences, and the rows of its tables, without code, headings and images."""
    found: list[str] = []
    prose = re.sub(r"^```.*?^```", "", readme, flags=re.MULTILINE | re.DOTALL)
    for section in re.split(r"^#+ ", prose, flags=re.MULTILINE):
        title, _, text = section.partition("\n")
        for block in re.split(r"\n(?:\s*\n|(?=[-*] |\d+\. ))", f"\n{text}"):  # or an item of a list
            if block.startswith("|"):
                found += [row.strip("| ") for row in block.splitlines()[2:] if title not in OTHER_TABLES]
            elif not block.startswith(("    ", "![")):
                found += re.split(r"(?<=[.?!]) (?=[^a-z])", " ".join(block.split()))  # a small letter follows "e.g."
    return [sentence for sentence in found if sentence]


def faults(readme: str, page: str, tests: Collection[str]) -> list[str]:
    """What is wrong with the page's table of promises, each with the README's sentence or the row."""
    section = page.partition("\n## Promises\n")[2].partition("\n## ")[0]
    introduction, _, table = section.partition("\n|")
    lines = [line.strip("| ").partition(" | ") for line in table.splitlines()[2:] if line]
    rows = [(says, shown) for says, _, shown in lines]
    reasons = {*re.findall(r"\*\*(\w+)\*\*", introduction)} - {"measured"}
    fine = reasons | {f"`{test}`" for test in tests}
    found: list[str] = []
    for sentence in sentences(readme):
        beginnings = [says for says, _ in rows if sentence.startswith(says)]
        if len(beginnings) != 1:
            found.append(f"{len(beginnings)} rows for: {sentence}")
    for says, shown in rows:
        begun = [sentence for sentence in sentences(readme) if sentence.startswith(says)]
        if len(begun) != 1:
            found.append(f"{len(begun)} sentences for the row: {says}")
        wrong = [part for part in shown.split(", ") if part not in fine and not MEASURED.fullmatch(part)]
        found += [f"neither a test nor a reason: {part}, in the row: {says}" for part in wrong]
    return found


def every_test() -> set[str]:
    """The ids of all tests, below tests/; those that a module imports are its own too."""
    found: set[str] = set()
    for path in TESTS.rglob("test_*.py"):
        for node in ast.parse(path.read_text()).body:
            names = [node.name] if isinstance(node, ast.FunctionDef) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
            found |= {f"{path.relative_to(TESTS)}::{name}" for name in names if name.startswith("test_")}
    return found


def test_each_sentence_of_the_readme_has_a_test_or_a_reason() -> None:
    page = (PROJECT.folder / "docs" / "testing.md").read_text()
    promising = [PROJECT.folder / "README.md", PROJECT.folder / "docs" / "use.md"]
    found = faults("\n".join(path.read_text() for path in promising), page, every_test())
    assert not found, "\n".join(found)


def test_each_test_that_a_page_names_is_there() -> None:
    pages = {path: path.read_text() for path in (PROJECT.folder / "docs").glob("*.md")}
    links = r'\]\(\.\./tests/([\w/]+\.py)\s"(\w+)"\)'  # in a list
    named = {(path.name, test) for path, text in pages.items() for test in re.findall(r"`([\w/]+\.py::\w+)`", text)}
    named |= {(path.name, "::".join(found)) for path, text in pages.items() for found in re.findall(links, text)}
    assert {page for page, _test in named} >= {"testing.md", "answers.md"}
    assert {one for one in named if one[1] not in every_test()} == set()


README = """# Title

It scales, e.g. to
three. It costs nothing.

    ./inv scale

## Commands

| tutorial | task |
|---|---|
| `start` | `./inv start` |

## Where to go next

| read | to learn |
|---|---|
| `k8s/` | what it runs |
"""
PAGE = """# Tests

## Promises

Reasons: **explains**, and **measured** with a figure.

| README says | shown by |
|---|---|
| It scales | `core/test_scale.py::test_it`, measured ([times](loop.md)) |
| It costs | explains |
| `start` | `core/test_start.py::test_it` |

## Limits
"""
KNOWN = {"core/test_scale.py::test_it", "core/test_start.py::test_it"}


def test_a_sentence_without_a_row_and_a_row_without_a_sentence_are_reported() -> None:
    assert sentences(README) == ["It scales, e.g. to three.", "It costs nothing.", "`start` | `./inv start`"]
    assert faults(README, PAGE, KNOWN) == []
    more = README.replace("nothing.", "nothing. It also\nflies.")
    assert faults(more, PAGE, KNOWN) == ["0 rows for: It also flies."]
    less = README.replace("It costs nothing.", "")
    assert faults(less, PAGE, KNOWN) == ["0 sentences for the row: It costs"]
    assert len(faults(README, PAGE.replace("It costs", "It"), KNOWN)) == 2, "two rows for one, and a row for two"


def test_a_row_whose_test_is_not_there_or_whose_reason_is_no_word_of_the_page_is_reported() -> None:
    (gone,) = faults(README, PAGE, KNOWN - {"core/test_start.py::test_it"})
    assert gone == "neither a test nor a reason: `core/test_start.py::test_it`, in the row: `start`"
    for reason in ("believed", "measured", "", "`core/test_scale.py::test_it` MISSING"):
        (told,) = faults(README, PAGE.replace("| explains |", f"| {reason} |"), KNOWN)
        assert told.endswith("in the row: It costs"), reason
