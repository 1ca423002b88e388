"""Measure the tests: change the meaning of the package at random places, one change at a time, and see which ones they find.

    python -m ci.mutation --seed=1 --changes=100
    python -m ci.mutation --seed=1 --changes=100 --clusters

The changes are made in copies of the tree. What the tests do not find is listed at the end.
"""

import argparse
import ast
import importlib.util
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from kubetasks.__main__ import handle_signals
from kubetasks.errors import ProgramError, TaskError
from kubetasks.terminal import interruption, shell
from kubetasks.terminal.report import Report, duration
from tasks import PROJECT

FOLDER = PROJECT.folder
UNIT = "tests/unit"
COPIES = 2  # each runs its tests on one core
LIMIT = 3  # times what the unit tests take without a change: what lasts longer is found
CLUSTER_SECONDS = 3600.0
THOROUGH = {  # the tests on clusters, besides core, of each part
    "engine": "images",
    "kube": "problems",
    "pipeline": "application",
    "project": "package",
    "providers": "lifecycle",
    "setup": "machine",
    "terminal": "interruption",
}
TURNED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **(pairs := {ast.Eq: ast.NotEq, ast.Lt: ast.GtE, ast.Gt: ast.LtE, ast.Is: ast.IsNot, ast.In: ast.NotIn}),
    **{new: old for old, new in pairs.items()},
}


@dataclass(frozen=True)
class Change:
    """New words for the bytes from `start` to `end` of a file."""

    path: str
    line: int
    start: int
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {' '.join(self.old.split())}  ->  {self.new}"

    def applied(self, source: str) -> str:
        return (source.encode()[: self.start] + self.new.encode() + source.encode()[self.end :]).decode()


def changes(path: str, source: str) -> list[Change]:
    """All changes of meaning that can be made to a file, in the order of its lines."""
    text, starts, found = source.encode(), [0], set()
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    for node, new in _replacements(ast.parse(source)):
        start, end = starts[node.lineno - 1] + node.col_offset, starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        found.add(Change(path, node.lineno, start, end, text[start:end].decode(), new))
    return sorted(found, key=lambda change: (change.start, change.end, change.new))


def _replacements(node: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, str]]:
    """Nodes, each with what may stand there instead; none where only types or the words of a message are."""
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.If(test=ast.Name("TYPE_CHECKING")):
            return
        case ast.Subscript(value=ast.Name("Literal")) | ast.Call(func=ast.Name("dataclass")):
            return
        case ast.Compare(left, operators, right):
            for at, operator in enumerate(operators):
                turned = [*operators[:at], TURNED[type(operator)](), *operators[at + 1 :]]
                yield node, f"({ast.unparse(ast.Compare(left, turned, right))})"
        case ast.BoolOp(operator, values):
            yield node, f"({ast.unparse(ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), values))})"
            for at in range(len(values)):  # without one of the conditions
                yield node, f"({ast.unparse(ast.BoolOp(operator, [*values[:at], *values[at + 1 :]]))})"
        case ast.UnaryOp(ast.Not(), operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.If(test) | ast.IfExp(test) | ast.While(test):
            if not isinstance(test, ast.Compare | ast.UnaryOp | ast.Constant):  # which are changed themselves
                yield test, f"(not ({ast.unparse(test)}))"
        case ast.comprehension(ifs=conditions):
            yield from ((condition, "True") for condition in conditions)
        case ast.Return(ast.expr() as value) if not (isinstance(value, ast.Constant) and not value.value):  # False is as None
            yield node, "return None"
        case ast.Constant(bool() as value):
            yield node, str(not value)
        case ast.Constant(int() | float() as value):
            yield node, "0" if value else "1"
        case ast.Expr(ast.Call()):
            yield node, "pass"
    for name, field in ast.iter_fields(node):
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST) and name not in ("annotation", "returns"):
                yield from _replacements(child)


def _pass(folder: Path, limit: float, *arguments: str, **env: str) -> bool:
    """Whether the tests in a copy of the tree pass, and in time."""
    argv = [sys.executable, "-m", "pytest", "-qx", *arguments]
    try:
        shell.run(argv, cwd=folder, env={"COLUMNS": "120", **env}, timeout=limit, merged=True)
    except ProgramError:
        return False
    return True


def _write(path: Path, source: str) -> None:
    path.write_text(source)
    # the bytecode of a source of the same length and time would count as this one's
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def _found_by(folder: Path, change: Change, limit: float, *, clusters: bool) -> str:
    """The tests that fail with the change in a copy of the tree, or ""; the likeliest ones run first."""
    source = (folder / change.path).read_text()
    part = Path(change.path).parts[1]
    near = f"{UNIT}/{part}"
    provider = "minikube" if "minikube" in change.path else "kind"
    _write(folder / change.path, change.applied(source))
    try:
        for arguments in [[near], [UNIT, f"--ignore={near}"]] if (folder / near).is_dir() else [[UNIT]]:
            if not _pass(folder, limit, *arguments):
                return arguments[0]
        for tests in ("tests/core", f"tests/thorough/{THOROUGH.get(part, 'package')}") if clusters else ():
            if not _pass(folder, CLUSTER_SECONDS, "-n3", "--maxschedchunk=1", tests, INVOKE_CLUSTER_PROVIDER=provider):
                return tests
        return ""
    finally:
        _write(folder / change.path, source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True, help="the same seed makes the same changes to the same source")
    parser.add_argument("--changes", type=int, default=100, help="how many")
    parser.add_argument("--clusters", action="store_true", help="what the unit tests do not find is tried on clusters")
    given, report = parser.parse_args(), Report()
    handle_signals()
    paths = sorted(str(path.relative_to(FOLDER)) for path in (FOLDER / "kubetasks").rglob("*.py"))
    possible = [change for path in paths for change in changes(path, (FOLDER / path).read_text())]
    chosen = random.Random(given.seed).sample(possible, given.changes)  # noqa: S311  no secret
    left_out = [line.strip("/") for line in (FOLDER / ".gitignore").read_text().splitlines()]
    report.say(f"Trying {len(chosen)} of {len(possible)} changes")
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(COPIES):
            copy = shutil.copytree(FOLDER, Path(folder, str(number)), ignore=shutil.ignore_patterns(".git", *left_out))
            shell.run(["git", "init", "--quiet"], cwd=copy)  # some tests ask it for the files of the tree
            copies.put(copy)
        started = time.monotonic()
        if not _pass(copy, CLUSTER_SECONDS, UNIT):
            raise TaskError("The unit tests fail without a change.", "./inv test --unit")
        limit = LIMIT * (time.monotonic() - started)

        def find(change: Change) -> str:
            copy, began = copies.get(), time.monotonic()
            tests = _found_by(copy, change, limit, clusters=given.clusters)
            copies.put(copy)
            report.say(f"{tests or 'NOT FOUND'} ({duration(time.monotonic() - began)}) {change}")
            return tests

        with ThreadPoolExecutor(1 if given.clusters else COPIES) as pool:
            try:
                found = dict(zip(chosen, pool.map(find, chosen), strict=True))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                interruption.terminate_all()
                raise
    for change, tests in sorted(found.items(), key=lambda one: (one[0].path, one[0].line)):
        if not tests.startswith(UNIT):
            report.result(f"{change}" + (f"  (found by {tests})" if tests else ""))
    units = sum(tests.startswith(UNIT) for tests in found.values())
    more = f", with clusters {sum(map(bool, found.values()))}" if given.clusters else ""
    report.result(f"Of {len(chosen)} changes the unit tests found {units}{more}.")


if __name__ == "__main__":
    try:
        main()
    except TaskError as error:
        sys.exit(str(error.message))
    except KeyboardInterrupt:
        sys.exit(interruption.EXIT_CODE)
