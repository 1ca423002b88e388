"""Below the pipeline, functions and classes get the values that they need, not the whole run."""

import ast
import re
from pathlib import Path

import pytest

from kubetasks.project import application

PACKAGE = Path(application.__file__).parents[1]
BELOW = ("engine", "kube", "providers", "setup", "terminal")
# these choose a provider or a requirement
CHOOSE = {"providers/__init__.py"} | {
    f"setup/{name}.py" for name in ("requirements", "inventory", "install", "downloads", "removal")
}


def named(annotation: ast.expr | None) -> set[str]:
    """Return the types in an annotation, quoted or not."""
    return set(re.findall(r"\w+", ast.unparse(annotation))) if annotation else set()


@pytest.mark.parametrize("file", [one for part in BELOW for one in sorted((PACKAGE / part).rglob("*.py"))], ids=str)
def test_no_function_or_class_gets_the_run_or_the_report_and_settings_only_choose(file: Path) -> None:
    wanted = set[str]()
    for part in ast.walk(ast.parse(file.read_text())):
        if isinstance(part, ast.AnnAssign):  # fields included
            wanted |= named(part.annotation)
        if isinstance(part, ast.FunctionDef):
            given = part.args
            wanted |= set().union(*(named(one.annotation) for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)))
    name = str(file.relative_to(PACKAGE))
    allowed = {"Settings"} if name in CHOOSE else {"Report"} if name.startswith("terminal/") else set()
    assert wanted & {"Run", "Report", "Settings"} <= allowed
