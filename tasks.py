"""The tasks, and the defaults of their settings. `./inv --list` shows them; docs/settings.md describes each setting."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  an older one gets a sentence, not a traceback
    sys.exit("Python 3.11 or newer is needed, not {}.{}: put one first on PATH as python3.".format(*sys.version_info[:2]))

from invoke.collection import Collection

from ci.task import test
from kubetasks.project.settings import DEFAULTS
from kubetasks.tasks import app, cluster, machine, service

ns = Collection(
    *(machine.setup, machine.doctor, test),
    *(cluster.start, cluster.stop, cluster.delete, cluster.kubeconfig, cluster.docker_env),
    *(app.build, app.deploy, app.scale, app.status, app.logs, app.diagnose, app.rollback),
    *(app.undeploy, app.rmi, app.clean, app.up, app.dev),
    *(service.expose, service.service, service.tunnel, service.traffic, service.unexpose),
)
ns.configure(DEFAULTS)
