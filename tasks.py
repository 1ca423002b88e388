"""The tasks, and the defaults of their settings. `./inv --list` shows them; docs/settings.md says what each setting does."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  an older one should hear it in a sentence
    sys.exit("Python 3.11 or newer is needed, not {}.{}: put one first on PATH as python3.".format(*sys.version_info[:2]))

from invoke.collection import Collection

from kubetasks.commands import app, cluster, quality, setup, traffic
from kubetasks.settings import DEFAULTS

ns = Collection()
for task in (
    *(setup.setup, setup.doctor),
    *(cluster.start, cluster.stop, cluster.delete, cluster.kubeconfig, cluster.docker_env),
    *(app.build, app.deploy, app.status, app.scale, app.logs, app.undeploy, app.rmi, app.clean, app.up),
    *(traffic.expose, traffic.service, traffic.traffic, traffic.unexpose),
    quality.test,
):
    ns.add_task(task)  # type: ignore[arg-type]  # invoke's decorator is typed as returning any callable
ns.configure(DEFAULTS)
