"""What a person types, a theme a file: options are read, the pipeline does it, and the result is printed.

The pipeline is imported inside a task: the list of the tasks loads none of it.
"""

from typing import Any

from invoke.collection import Collection

from kubetasks.project.application import Project
from kubetasks.project.settings import DEFAULTS
from kubetasks.tasks import app, cluster, machine, service


def namespace(project: Project, *more: Any) -> Collection:
    """The collection for a project's tasks.py: our tasks with the defaults of their settings, and `more` of its own."""
    ns = Collection(
        *(machine.setup, machine.doctor),
        *(cluster.start, cluster.stop, cluster.delete, cluster.kubeconfig, cluster.docker_env),
        *(app.build, app.deploy, app.scale, app.status, app.logs, app.diagnose, app.rollback),
        *(app.undeploy, app.rmi, app.clean, app.up, app.dev),
        *(service.expose, service.service, service.tunnel, service.traffic, service.unexpose),
        *more,
    )
    ns.configure({"kubetasks": {"project": project, "runs": ()}})
    ns.configure({project.prefix: DEFAULTS} if project.prefix else DEFAULTS)
    return ns
