"""Read pytest's JUnit files, and write one for a check that has none."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tests:
    """The counts of one file. `failures` are pairs (test, text), `notes` are (name, value) of the tests' properties.

    `seconds` are (test, seconds).
    """

    passed: int
    failed: int
    skipped: int
    failures: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    seconds: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        others = [f"{number} {word}" for number, word in ((self.failed, "failed"), (self.skipped, "skipped")) if number]
        return ", ".join([f"{self.passed} passed", *others])


def read(path: Path) -> Tests | None:
    """Read a JUnit file; return None if it is missing (the suite could not start) or incomplete (it was killed)."""
    try:
        cases = list(ElementTree.parse(path).iter("testcase"))  # noqa: S314  our own suite wrote it
    except (FileNotFoundError, ElementTree.ParseError):
        return None
    failures, skipped = [], 0
    for case in cases:
        skipped += case.find("skipped") is not None
        name = f"{case.get('classname')}::{case.get('name')}"
        failures += [
            (name, found.text or found.get("message") or "") for found in (*case.findall("failure"), *case.findall("error"))
        ]
    failed = len({name for name, _text in failures})
    tests = len({(case.get("classname"), case.get("name")) for case in cases})  # one that fails twice has two entries
    notes = [(str(told.get("name")), str(told.get("value"))) for case in cases for told in case.iter("property")]
    seconds = [(f"{case.get('classname')}::{case.get('name')}", float(case.get("time") or 0)) for case in cases]
    return Tests(tests - failed - skipped, failed, skipped, tuple(failures), tuple(notes), tuple(seconds))


def write(path: Path, name: str, failure: str) -> None:
    """Write the JUnit file of a check that has none: one test, which failed unless `failure`, the message, is ""."""
    suite = ElementTree.Element("testsuite", name=name, tests="1", failures=str(int(bool(failure))))
    case = ElementTree.SubElement(suite, "testcase", classname="tox", name=name)
    if failure:
        ElementTree.SubElement(case, "failure", message=failure)
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
