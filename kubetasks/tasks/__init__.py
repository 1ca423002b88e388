"""The tasks, a theme a file: read the options, let the pipeline do it, print the result.

Its modules are imported when a task uses them: the list of the tasks loads none.
"""

import copy
import re
from collections.abc import Mapping
from typing import Any

from invoke.collection import Collection

from kubetasks.project.application import Project
from kubetasks.project.settings import DEFAULTS, OURS
from kubetasks.tasks import app, cluster, machine, service

EXAMPLE = "simple-server"  # the application in the help of the tasks


def _in_own_words(task: Any, theirs: Mapping[str, str]) -> Any:
    """The task with its help in the words of a project: `theirs` has the one that stands for each of ours."""
    own = copy.copy(task)

    def told(text: str) -> str:
        return re.sub("|".join(map(re.escape, theirs)), lambda ours: theirs[ours[0]], text)

    own.__doc__, own.help = told(task.__doc__), {name: told(text) for name, text in task.help.items()}
    return own


def namespace(project: Project, *more: Any) -> Collection:
    """The collection for a project's tasks.py: our tasks with the defaults of their settings, and `more` of its own."""
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
