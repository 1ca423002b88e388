"""The tasks, one file per subject: each reads its options, calls the pipeline and prints the result.

The pipeline's modules are imported on first use, so that listing the tasks loads none of them.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

from invoke.collection import Collection

from kubetasks.project.application import Project
from kubetasks.project.settings import DEFAULTS, OURS
from kubetasks.tasks import app, cluster, machine, service

EXAMPLE = "simple-server"  # the application's name in the help of the tasks


def _in_own_words(task: Any, theirs: Mapping[str, str]) -> Any:
    """Return a copy of the task whose help has a project's words; `theirs` maps the words used here to the project's."""
    own = copy.copy(task)

    def substituted(text: str) -> str:
        return re.sub("|".join(map(re.escape, theirs)), lambda ours: theirs[ours[0]], text)

    own.__doc__, own.help = substituted(task.__doc__), {name: substituted(text) for name, text in task.help.items()}
    return own


def namespace(project: Project, *more: Any) -> Collection:
    """Return the collection for a project's tasks.py: these tasks with their default settings, and `more`, the project's own."""
    ours = (
        *(machine.setup, machine.doctor),
        *(cluster.start, cluster.stop, cluster.delete, cluster.kubeconfig, cluster.docker_env),
        *(app.build, app.deploy, app.scale, app.status, app.logs, app.diagnose, app.rollback),
        *(app.undeploy, app.rmi, app.clean, app.up, app.dev),
        *(service.expose, service.service, service.tunnel, service.traffic, service.unexpose),
    )
    words, name = project.words, project.application.name
    theirs = {"./inv": words.command, "INVOKE": words.variables, "docs/": f"{words.docs}/", EXAMPLE: name}
    ns = Collection(*(_in_own_words(task, theirs) for task in ours), *more)
    ns.configure({OURS: {"project": project, "runs": ()}})
    ns.configure({project.prefix: DEFAULTS} if project.prefix else DEFAULTS)
    return ns
