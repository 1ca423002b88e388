"""Each hint in the package names only what exists in any project: its own tasks, options, variables, pages and files."""

import ast
import re
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from invoke.collection import Collection

from kubetasks import namespace
from kubetasks.__main__ import Tasks
from kubetasks.project import application, words
from kubetasks.project.application import Project
from kubetasks.project.labels import TOOL
from kubetasks.project.settings import DEFAULTS
from kubetasks.setup.requirements import REPOSITORIES
from kubetasks.tasks.init import init
from tasks import PROJECT, ns

PACKAGE = Path(application.__file__).parents[1]
CORE = ("--echo", "--dry", "--yes", "--help", "--list")  # options before a task
SAMPLE = "1"  # stands for a value
WORD = re.compile(r"\{(INV|INVOKE|DOCS|DEPLOYMENT|MENDED)\}", re.IGNORECASE)  # the words of words.py, in a string or a template
OF_OURS = re.compile(r"\./inv|INVOKE_(CLUSTER|APP|SETUP)_|docs/|k8s/\w")
PAGE = re.compile(r"(?<![\w/])((?:/[\w./-]+/)?docs/[a-z-]+\.md)(?:#([a-z-]+))?")


def told(part: ast.expr) -> str:
    """Return the text of a part of an f-string: a word of words.py in braces, SAMPLE for any other value."""
    if isinstance(part, ast.Constant):
        return str(part.value)
    name = part.value.id if isinstance(part, ast.FormattedValue) and isinstance(part.value, ast.Name) else ""
    return f"{{{name}}}" if WORD.fullmatch(f"{{{name}}}") else SAMPLE


def texts(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the strings of a module with their line numbers, except docstrings."""
    tree = ast.parse(file.read_text())
    nodes = list(ast.walk(tree))
    left_out = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    left_out |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node}
    for node in nodes:
        if id(node) in left_out:
            continue
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(map(told, node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


HINTS = [
    pytest.param(text, id=f"{file.relative_to(PACKAGE)}:{line}")
    for file in sorted(PACKAGE.rglob("*.py"))
    for line, text in texts(file)
    if (WORD.search(text) or "kubetasks " in text) and not text.startswith(("name: Cluster", "from kubetasks"))
]


PROJECTS = {
    "this repository": None,
    "without manifests": {},
    "with manifests": {"manifests": "manifests"},
    "with a prefix like a section": {"prefix": "app", "command": "inv"},
}


def wrong(project: Project, tasks: Collection, text: str) -> list[str]:
    """Return everything that a hint names and that does not exist."""
    variables = {project.variable(section, name) for section, names in DEFAULTS.items() for name in names}
    found = [name for name in re.findall(r"INVOKE_\w+\w", text) if name not in variables]
    found += [word for command in commands(project, text) if (word := unknown(tasks, command))]
    for page, anchor in PAGE.findall(text):
        there = Path(page) if page.startswith("/") else project.folder / page
        if not there.is_file():
            found.append(page)
        elif anchor and anchor not in re.sub(r"[^a-z0-9\n]+", "-", there.read_text().lower()):
            found.append(f"{page}#{anchor}")
    return found + [file for file in re.findall(r"k8s/\w+\.yaml", text) if not (project.folder / file).exists()]


def commands(project: Project, text: str) -> list[list[str]]:
    """Return the words after each mention of the project's command."""
    parts = re.split(rf"(?<![\w./-]){re.escape(project.command)} ", text)[1:]
    return [re.split(r"[;,`)\n]", part)[0].split() for part in parts]


def unknown(tasks: Collection, words: list[str]) -> str:
    """Return the first word of a command that is neither a task nor one of its options, or ""; prose may follow a task."""
    known = {**{name: tasks[name] for name in tasks.task_names}, "init": init}
    task = None
    for word in words:
        word = word.rstrip(".:")
        option = word.partition("=")[0]
        if word in known:
            task = known[word]
        elif word.startswith("--"):
            options = [f"--{one.name}" for one in task.get_arguments()] if task else CORE
            if option not in options:
                return word
        elif task is None and word not in ("", "TASK"):
            return word
        else:
            break
    return ""


@pytest.mark.parametrize("options", PROJECTS.values(), ids=PROJECTS)
@pytest.mark.parametrize("hint", HINTS)
def test_a_hint_names_what_is_there(tmp_path: Path, options: dict[str, Any] | None, hint: str) -> None:
    (tmp_path / "manifests").mkdir()
    project = PROJECT if options is None else Project.of("shop", tmp_path, **options)
    with words.spoken(project.words):
        text = WORD.sub(lambda found: str(getattr(words, found[1].upper())), hint)
    assert wrong(project, ns if project is PROJECT else namespace(project), text) == [], text


@pytest.mark.parametrize("options", PROJECTS.values(), ids=PROJECTS)
def test_the_help_of_a_task_names_what_is_there(tmp_path: Path, options: dict[str, Any] | None) -> None:
    (tmp_path / "manifests").mkdir()
    project = PROJECT if options is None else Project.of("shop", tmp_path, **options)
    tasks = namespace(project)
    for name in tasks.task_names:
        for text in (tasks[name].__doc__, *tasks[name].help.values()):
            assert wrong(project, tasks, text) == [], text


def test_a_message_has_no_word_that_only_this_repository_has() -> None:
    modules = [file for file in PACKAGE.rglob("*.py") if file.parent.name != "tasks"]  # their help is reworded for each project
    found = {text for file in modules for _, text in texts(file) if OF_OURS.search(text)}
    assert found == {"./inv"}, "the name that the program has here"


def test_what_is_wrong_with_a_table_names_a_page_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "invoke.yaml").write_text("kubetasks: {name: shop, colour: blue}\n")
    with chdir(tmp_path), pytest.raises(SystemExit) as ended:
        Tasks(name="kubetasks", binary="kubetasks", binary_names=["kubetasks"]).run(["kubetasks", "doctor"])
    told = capsys.readouterr().err
    assert (ended.value.code, [Path(page).is_file() for page, _ in PAGE.findall(told)]) == (2, [True]), told


def test_only_the_help_of_the_tasks_knows_the_name_of_our_application() -> None:
    others = "|".join((TOOL.name, *REPOSITORIES))  # they start with it
    quoted = rf"""["'][^"'\n]*{PROJECT.application.name}"""
    modules = {str(path.relative_to(PACKAGE)): path.read_text() for path in PACKAGE.rglob("*.py")}
    knowing = [name for name, text in modules.items() if re.search(quoted, re.sub(others, "", text))]
    assert knowing == ["tasks/__init__.py"]
