"""Values go down, not the run: a signature below the pipeline says what a function needs."""

import ast
from pathlib import Path

import pytest

from kubetasks.project import application

PACKAGE = Path(application.__file__).parents[1]
BELOW = ("engine", "kube", "providers", "setup")
# where a provider or a requirement is chosen
CHOOSE = {f"providers/{name}.py" for name in ("__init__", "base", "existing")} | {
    f"setup/{name}.py" for name in ("requirements", "inventory", "install", "downloads", "removal")
}


def named(annotation: ast.expr | None) -> set[str]:
    """The types in an annotation."""
    return {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)} if annotation else set()


@pytest.mark.parametrize("file", [one for part in BELOW for one in sorted((PACKAGE / part).rglob("*.py"))], ids=str)
def test_no_function_gets_the_run_or_the_report_and_settings_only_choose(file: Path) -> None:
    wanted = set[str]()
    for function in ast.walk(ast.parse(file.read_text())):
        if isinstance(function, ast.FunctionDef):
            given = function.args
            wanted |= set().union(*(named(one.annotation) for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)))
    allowed = {"Settings"} if str(file.relative_to(PACKAGE)) in CHOOSE else set()
    assert wanted & {"Run", "Report", "Settings"} <= allowed
