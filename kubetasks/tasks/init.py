"""Begin: what a folder says of its application becomes its settings, manifests, a first test and a workflow."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import tasks

from kubetasks.engine.content import IGNORE_FILE
from kubetasks.errors import SettingError, TaskError
from kubetasks.kube import made, manifests
from kubetasks.project import inferred, table
from kubetasks.project.application import MANIFESTS, Project
from kubetasks.project.versions import KUBERNETES
from kubetasks.terminal.door import Door
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
IGNORED = (".git", ".venv", "venv", "**/__pycache__", "**/.pytest_cache")  # what no image needs
WORKFLOW = """\
name: Cluster
on: [push, pull_request]
permissions: {{}}
jobs:
  test:
    runs-on: ubuntu-24.04
    timeout-minutes: 30
    permissions:
      contents: read
    strategy:
      fail-fast: false
      matrix:
        kubernetes: [{minors}]
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          persist-credentials: false
      - uses: actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0
        with:
          python-version: "3.14"
      - run: pip install kubetasks pytest pytest-xdist
      - run: kubetasks setup
        env:
          INVOKE_KUBETASKS_CLUSTER_KUBERNETES: ${{{{ matrix.kubernetes }}}}
      - run: pytest --kubetasks-kubernetes="$KUBERNETES" tests/test_cluster.py
        env:
          KUBERNETES: ${{{{ matrix.kubernetes }}}}
"""


@tasks.task(help={"yes": "write without asking"})
def init(c: Context, yes: bool = False) -> None:
    """Begin with the Dockerfile of this folder.

    Reads EXPOSE and HEALTHCHECK, and the compose file if there is one. Writes the settings, tasks.py, manifests, a test and a
    workflow, and overwrites nothing.

    Example: kubetasks init --yes
    Undo: git status shows what is new
    """
    report, folder = Report(), Path.cwd()
    known = table.read(folder)
    read = {} if known else inferred.table(folder)
    if read:
        report.table(("KEY", "VALUE", "FROM"), [(key, value.value, value.source) for key, value in read.items()])
        if left_out := inferred.left_out(folder):
            report.say(f"Not taken over from the compose file: {', '.join(left_out)}. Add what you need to {MANIFESTS}/.")
    values = known or {key: value.value for key, value in read.items()}
    manifests.of_application(Project.of(folder=folder, **values).application)  # refuses a k8s/ that does not fit
    texts = _texts(folder, known, values)
    new = {name: text for name, text in texts.items() if not (folder / name).exists() or name in table.FILES}
    if not new:
        report.say("Everything is there already.")
        return
    for name in texts:
        report.say(f"  {name}" + (": stays as it is" if name not in new else ", added to" if (folder / name).exists() else ""))
    for name in new:
        if blocked := next(
            (parent for parent in Path(name).parents if (folder / parent).exists() and not (folder / parent).is_dir()), None
        ):
            raise SettingError(f"{folder / blocked} is a file, and {name} is to be written.", "Move it")
    agreed, do = bool(yes or c.config.run.get("yes")), Door(report, dry=bool(c.config.run.dry))
    do.unless_dry(lambda: _write(report, folder, new, agreed=agreed))


def _write(report: Report, folder: Path, texts: dict[str, str], *, agreed: bool) -> None:
    """Write the files, if a person agrees. Raises SettingError, TaskError."""
    if not agreed and not sys.stdin.isatty():
        raise SettingError("Nothing was written: there is no terminal to ask on.", "kubetasks init --yes")
    if not (agreed or report.agrees("Write these files?")):
        raise TaskError("Nothing was written.")
    for name, text in texts.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    report.say("Next: kubetasks setup up traffic; pytest")


def _texts(folder: Path, known: dict[str, Any], values: dict[str, Any]) -> dict[str, str]:
    """What is to be in each file, by its path in the folder; `values` are those of the table, which may be `known` already."""
    app = Project.of(folder=folder, **{**values, "manifests": None}).application
    written = {} if known else dict([_table(folder, values)])
    written[table.TASKS] = TASKS
    if not (folder / MANIFESTS).exists() and "manifests" not in known:
        written[f"{MANIFESTS}/deployment.yaml"] = _yaml(made.deployment(app))
        written[f"{MANIFESTS}/service.yaml"] = _yaml(made.service(app))
    minors = ", ".join(f'"{minor}"' for minor in KUBERNETES)
    written["tests/test_cluster.py"] = TEST
    written[".github/workflows/cluster.yml"] = WORKFLOW.format(minors=minors)
    ignore = app.source.context / IGNORE_FILE
    if not ignore.exists() and ignore.is_relative_to(folder):
        dockerfile = app.source.dockerfile.read_text(encoding="utf-8") if app.source.dockerfile.exists() else ""
        tops = dict.fromkeys(Path(name).parts[0] for name in written if not (folder / Path(name).parts[0]).exists())
        own = [name for name in tops if app.source.context == folder and name not in dockerfile]  # written now, and not copied
        own += [name for name in inferred.COMPOSE if (folder / name).exists()]
        written[str(ignore.relative_to(folder))] = "\n".join([*IGNORED, *own, ""])
    return written


def _table(folder: Path, values: dict[str, Any]) -> tuple[str, str]:
    """The file that gets the table, and its whole text then. Raises SettingError if it cannot get one."""
    import yaml

    file = folder / ("pyproject.toml" if (folder / "pyproject.toml").exists() else "invoke.yaml")
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    if file.suffix == ".toml":
        # numbers and strings of JSON are TOML's too
        added = "\n".join(["[tool.kubetasks]", *(f"{key} = {json.dumps(value)}" for key, value in values.items()), ""])
    else:
        added = _yaml({table.NAME: values})
    text = f"{before.rstrip()}\n\n{added}" if before.strip() else added
    taken = next((folder / name for name in ("invoke.yml", "invoke.json") if (folder / name).exists()), None)  # invoke reads one
    try:
        if file.suffix == ".toml":
            whole = tomllib.loads(text)["tool"][table.NAME] == values
        else:
            whole = yaml.safe_load(text)[table.NAME] == values and table.NAME not in (yaml.safe_load(before) or {}) and not taken
    except (ValueError, TypeError, KeyError, yaml.YAMLError):
        whole = False
    if not whole:
        raise SettingError(f"{taken or file} cannot get a table beside what it has.", f"Add it by hand:\n{added}")
    return file.name, text


def _yaml(value: object) -> str:
    import yaml

    return str(yaml.safe_dump(value, sort_keys=False))
