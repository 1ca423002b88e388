"""Set up a project: write settings, manifests, a first test and a workflow from a folder's compose file or Dockerfile."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from invoke import tasks

from kubetasks.engine.content import IGNORE_FILE
from kubetasks.errors import ProgramError, SettingError, TaskError
from kubetasks.kube import generated, manifests
from kubetasks.project import files, inferred, table
from kubetasks.project.application import MANIFESTS, Application, Project
from kubetasks.project.versions import KUBERNETES
from kubetasks.tasks import origin
from kubetasks.terminal import shell
from kubetasks.terminal.report import Report

if TYPE_CHECKING:
    from invoke.context import Context

TASKS = """\
from kubetasks import Project, namespace
ns = namespace(Project.read(__file__))
"""
TEST = '''\
"""The application on a throwaway cluster: pytest makes it, and removes it."""


def test_it_answers(k8s_app, k8s_traffic):
    assert k8s_traffic(20).failed == 0


def test_no_request_is_lost_while_it_is_scaled(k8s_app, k8s_traffic):
    with k8s_traffic.load() as load:
        k8s_app.scale(3)
        load.at_least(100)
    assert (len(k8s_app.pods()), load.failed) == (3, 0)
'''
CONVERT = "kompose convert --file {} --out " + f"{MANIFESTS}/"
BARE = re.compile("[A-Za-z0-9_-]+")  # a key that TOML allows without quotation marks
IGNORED = (".git", ".venv", "venv", "**/__pycache__", "**/.pytest_cache", *inferred.COMPOSE)  # what no image needs
WORKFLOW = ".github/workflows/cluster.yml"
STEPS = """\
name: Cluster
on: [push, pull_request]
permissions: {}
jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 30
    permissions: {contents: read}
    strategy:
      fail-fast: false
      matrix: {kubernetes: MINORS}
    env:
      INVOKE_KUBETASKS_CLUSTER_KUBERNETES: ${{ matrix.kubernetes }}
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with: {persist-credentials: false}
      - uses: actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0
        with: {python-version: "3.14"}
      - run: pip install PACKAGE pytest pytest-xdist
      - run: kubetasks setup
      - run: pytest tests/test_cluster.py
"""


@tasks.task(help={"yes": "write without asking", "application": "one of several: a service of the compose file, or a Dockerfile"})
def init(c: Context, yes: bool = False, application: str = "") -> None:
    """Begin with the compose file or the Dockerfile of this folder.

    Reads what is built, and port and health path. Writes the settings, tasks.py, manifests, a test and a workflow, and overwrites
    nothing. Of several services kompose makes the manifests, if it is on PATH.

    Example: kubetasks init --yes
    Undo: git status shows what is new
    """
    from kubetasks.pipeline import desired

    report, folder = Report(), Path.cwd()
    known = table.read(folder)
    found = inferred.described(folder, partial(_chosen, application), known=bool(known))
    if found.table:
        rows = [(key, _shown(key, value), source) for key, (value, source) in found.table.items()]
        report.table(("KEY", "VALUE", "FROM"), rows)
    values = known or {key: value for key, (value, _) in found.table.items()}
    app = Project.of(folder=folder, **values).application
    if app.manifests:
        desired.check(app, manifests.of_application(app), exposed=True)
    wanted = not (folder / MANIFESTS).exists() and "manifests" not in known
    written = _manifests(app, found.compose) if wanted else {}
    by_hand = f"{CONVERT.format(found.compose)}; " if wanted and not written else ""
    if found.note:
        report.say(found.note)
    if by_hand:
        report.say(f"kompose, which makes the manifests of {found.compose}, is not on PATH.")
    texts = {**({} if known else _table(folder, values)), table.TASKS: TASKS, **written, "tests/test_cluster.py": TEST}
    package = origin.requirement()
    texts[WORKFLOW] = STEPS.replace("MINORS", json.dumps([*KUBERNETES])).replace("PACKAGE", shlex.quote(package))
    if any(source.context == folder for source in app.sources):
        tops = {Path(name).parts[0]: "" for name in (*texts, MANIFESTS)}
        texts[IGNORE_FILE] = "\n".join([*IGNORED, *(top for top in tops if not (folder / top).exists()), ""])
    new = {name: text for name, text in texts.items() if not (folder / name).exists() or name in table.FILES}
    if not new:
        report.say(f"Next: {by_hand}kubetasks setup up traffic" if by_hand else "Everything is there already.")
        return
    for name in texts:
        report.say(f"  {name}" + (": stays as it is" if name not in new else ", added to" if (folder / name).exists() else ""))
    if blocked := next((parent for name in new for parent in (folder / name).parents if parent.is_file()), None):
        raise SettingError(f"{blocked} is a file, and a folder of that name is needed.", "Move it")
    if c.config.run.dry:
        return
    if not (yes or c.config.run.get("yes") or report.agrees("Write these files?")):
        raise TaskError("Nothing was written.")
    for name, text in new.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    if package == origin.UNKNOWN and WORKFLOW in new:
        report.say(f"Nothing here says where GitHub can get kubetasks: replace URL and COMMIT in {WORKFLOW}.")
    report.say(f"Next: {by_hand}kubetasks setup up traffic; pytest")


def _shown(key: str, value: Any) -> Any:
    """Return a value of the table as the user sees it before it is written: images by name only, arguments in full."""
    if not isinstance(value, dict):
        return value
    return ", ".join(f"{name}={text}" for name, text in value.items()) if key == "args" else ", ".join(value)


def _chosen(asked: str, where: str, names: Sequence[str], likely: Sequence[str]) -> str:
    """Choose the application: the name asked for, the only likely one, or the user's choice. Raises SettingError."""
    if asked in names or (not asked and len(likely) == 1):
        return asked or likely[0]
    if asked or not sys.stdin.isatty():
        which = f"no {asked}" if asked else "nothing says which one is the application"
        raise SettingError(
            f"{where} {', '.join(names if asked else likely)}, and {which}.", f"kubetasks init --application={likely[0]}"
        )
    from rich.console import Console
    from rich.prompt import Prompt

    return Prompt.ask("Which one is the application?", choices=list(names), console=Console(stderr=True))


def _manifests(app: Application, compose: str) -> dict[str, str]:
    """Return the manifests by file: generated, or kompose's for a compose file ({} without kompose). Raises SettingError."""
    service = generated.service(app)
    if not compose:
        return {f"{MANIFESTS}/deployment.yaml": _yaml(generated.deployment(app)), f"{MANIFESTS}/service.yaml": _yaml(service)}
    if not shutil.which("kompose"):
        return {}
    with TemporaryDirectory() as folder:
        try:
            shell.run([*CONVERT.format(compose).split()[:-1], f"{folder}/", "--with-kompose-annotation=false"])
        except ProgramError as error:
            last = re.sub(r"\x1b\[\d+m\w+\x1b\[0m ", "", error.output.strip()).rpartition("\n")[2]
            raise SettingError(f"kompose cannot convert {compose}: {last}.", CONVERT.format(compose)) from error
        texts = {f"{MANIFESTS}/{file.name}": file.read_text(encoding="utf-8") for file in sorted(Path(folder).iterdir())}
    if f"{MANIFESTS}/{app.name}-deployment.yaml" not in texts:
        raise SettingError(f"kompose makes no deployment of {app.name} in {compose}.", "Give it restart: always there")
    service["spec"]["ports"][0]["targetPort"] = app.port  # kompose gives it no name
    return {f"{MANIFESTS}/{app.name}-service.yaml": _yaml(service), **texts}


def _table(folder: Path, values: Mapping[str, Any]) -> dict[str, str]:
    """Return the file to which the table is added, with its new text. Raises SettingError if that is impossible."""
    import yaml

    def held(text: str) -> object:
        content = tomllib.loads(text).get("tool") if file.suffix == ".toml" else yaml.safe_load(text)
        return (content or {}).get(table.NAME)

    file = folder / ("pyproject.toml" if (folder / "pyproject.toml").exists() else "invoke.yaml")
    before = files.text(file) if file.exists() else ""
    added = _toml(values) if file.suffix == ".toml" else _yaml({table.NAME: values})
    text = f"{before.rstrip()}\n\n{added}" if before.strip() else added
    taken = next((folder / name for name in ("invoke.yml", "invoke.json") if (folder / name).exists()), None)  # invoke reads one
    try:
        whole = held(text) == values and held(before) is None and (file.suffix == ".toml" or not taken)
    except (ValueError, TypeError, AttributeError, yaml.YAMLError):
        whole = False
    if not whole:
        raise SettingError(f"{taken or file} cannot take a table beside what it has.", f"Add it by hand:\n{added}")
    return {file.name: text}


def _toml(values: Mapping[str, Any], name: str = table.NAME) -> str:
    """Return a table and its images' tables as TOML, where JSON's strings and numbers are valid, and objects with `=` for `:`."""
    lines = [f"{key} = {json.dumps(value, separators=(', ', ' = '))}" for key, value in values.items() if key != "images"]
    images = {key if BARE.fullmatch(key) else json.dumps(key): image for key, image in values.get("images", {}).items()}
    return "\n".join([f"[tool.{name}]", *lines, "", *(_toml(image, f"{name}.images.{key}") for key, image in images.items())])


def _yaml(value: object) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False))
