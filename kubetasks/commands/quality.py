"""Tasks for whoever changes this project."""

import shlex
import sys

from invoke.context import Context
from invoke.tasks import task

from kubetasks.errors import TaskError
from kubetasks.steps.session import Session

ENVIRONMENTS = "lint,type,py311,integration"


@task(help={"only": "tox environments, with commas between them"})
def test(c: Context, only: str = ENVIRONMENTS) -> None:
    """Run everything that is tested, with tox.

    Style, types, unit tests, and the whole path on throwaway clusters.

    Example: ./inv test --only=lint,py311
    """
    report = Session(c).report
    if not report.mirror(f"tox run -e {only}"):
        return
    # not the tox of PATH: this environment's, with the locked plugins
    result = c.run(shlex.join([sys.executable, "-m", "tox", "run", "-e", only]), warn=True, echo=False)
    if result is None or not result.ok:
        raise TaskError("Tests failed; see above.", f"./inv test --only=... runs a part of {only}")
