"""The tasks of this repository. `./inv --list` shows them; docs/settings.md describes each setting."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  an older one gets a sentence, not a traceback
    sys.exit("Python 3.11 or newer is needed, not {}.{}: put one first on PATH as python3.".format(*sys.version_info[:2]))

from pathlib import Path

from ci.task import docs, test
from kubetasks import Application, Owner, Project, namespace

FOLDER = Path(__file__).resolve().parent
PROJECT = Project(
    folder=FOLDER,
    application=Application(
        name="simple-server",
        owner=Owner("simple-server-tasks"),
        source=FOLDER,
        manifests=FOLDER / "k8s",
        port="http",
        health="/healthz",
        pod_key="pod",
        node_key="node",
    ),
    prefix="",
    command="./inv",
)

ns = namespace(PROJECT, test, docs)
