"""The tasks of this repository. `./inv --list` shows them; docs/use.md#settings describes each setting."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  an older one gets a sentence, not a traceback
    sys.exit("Python 3.11 or newer is needed, not {}.{}: put one first on PATH as python3.".format(*sys.version_info[:2]))

from ci.task import docs, test
from kubetasks import Project, namespace

PROJECT = Project.of(
    "simple-server",
    __file__,
    port=8080,
    health="/healthz",
    pod_key="pod",
    node_key="node",
    owner="simple-server-tasks",
    prefix="",
    command="./inv",
)

ns = namespace(PROJECT, test, docs)
