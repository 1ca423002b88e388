"""Begin: what a folder says of its application becomes its settings, manifests, a first test and a workflow."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoke import tasks

from kubetasks.errors import SettingError, TaskError
from kubetasks.kube import made
from kubetasks.project import inferred, table
from kubetasks.project.application import MANIFESTS, Project
from kubetasks.project.versions import KUBERNETES
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
IGNORED = """\
.git
.github
.venv
**/__pycache__
**/.pytest_cache
k8s
tests
tasks.py
invoke.yaml
"""
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
          python-version: "3.13"
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
    found = {} if known else inferred.table(folder)
    if found:
        report.table(("KEY", "VALUE", "FROM"), [(key, one.value, one.source) for key, one in found.items()])
    values = known or {key: one.value for key, one in found.items()}
    project = Project.of(folder=folder, **{**values, "manifests": None})
    texts = _texts(folder, project, known, values)
    new = {name: text for name, text in texts.items() if not (folder / name).exists() or name in table.FILES}
    if not new:
        report.say("Everything is there already.")
        return
    for name in texts:
        report.say(f"  {name}" + (": stays as it is" if name not in new else ", added to" if (folder / name).exists() else ""))
    agreed = yes or c.config.run.get("yes")
    if not agreed and not sys.stdin.isatty():
        raise SettingError("Nothing was written: there is no terminal to ask on.", "kubetasks init --yes")
    if not (agreed or report.agrees("Write these files?")):
        raise TaskError("Nothing was written.")
    for name, text in new.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as out:
            out.write(("\n" if out.tell() else "") + text)
    report.say("Next: kubetasks setup up traffic; pytest")


def _texts(folder: Path, project: Project, known: dict[str, Any], values: dict[str, Any]) -> dict[str, str]:
    """What is to be in each file, by its path in the folder; `values` are those of the table, which may be `known` already."""
    import yaml

    def text(value: object) -> str:
        return str(yaml.safe_dump(value, sort_keys=False))

    app, written = project.application, dict[str, str]()
    if not known and (folder / "pyproject.toml").exists():
        lines = [f"{key} = {value}" if isinstance(value, int) else f"{key} = {_quoted(value)}" for key, value in values.items()]
        written["pyproject.toml"] = "\n".join(["[tool.kubetasks]", *lines]) + "\n"
    elif not known:
        written["invoke.yaml"] = text({table.NAME: values})
    written["tasks.py"] = TASKS
    if not (folder / MANIFESTS).exists() and "manifests" not in known:
        written[f"{MANIFESTS}/deployment.yaml"] = text(made.deployment(app))
        written[f"{MANIFESTS}/service.yaml"] = text(made.service(app))
    minors = ", ".join(f'"{minor}"' for minor in KUBERNETES)
    written["tests/test_cluster.py"] = TEST
    written[".github/workflows/cluster.yml"] = WORKFLOW.format(minors=minors)
    written[".dockerignore"] = IGNORED
    return written


def _quoted(value: str) -> str:
    """The text as a basic string of TOML."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
