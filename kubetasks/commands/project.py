"""The project: for those who change it."""

from invoke.context import Context
from invoke.tasks import task

from kubetasks.errors import SetupError, TaskError
from kubetasks.settings import one_of
from kubetasks.versions import KUBERNETES, PYTHONS


@task(
    help={
        "lint": "only style, types and workflows",
        "unit": "only the unit tests, on each Python",
        "python": "only the unit tests, on that Python",
        "kubernetes": "only the tests on throwaway clusters of that minor",
        "minikube": "only the tests on a throwaway minikube cluster",
        "browser": "only the tests of the page in Chromium, on a throwaway cluster",
    }
)
def test(
    c: Context,
    lint: bool = False,
    unit: bool = False,
    python: str = "",
    kubernetes: str = "",
    minikube: bool = False,
    browser: bool = False,
) -> None:
    """Run everything that is tested, with tox.

    Runs style, types, workflows, unit tests on each Python, throwaway clusters of each Kubernetes that setup has
    installed, one of minikube if that was set up, and the page in Chromium. A Python that this machine lacks runs in a
    container.
    JUnit files go to reports/.

    It removes its clusters. .tox, reports/ and tests/browser/node_modules stay; Chromium and npm are installed with apt, as root,
    and images of Pythons go into the engine.

    Example: ./inv test --python=3.14 --kubernetes=1.36
    Undo: ./inv setup --remove; rm -rf .tox reports tests/browser/node_modules
    """
    from kubetasks.actions import context, project
    from kubetasks.testing import matrix

    if python:
        one_of("--python", python, tuple(PYTHONS))
    if kubernetes:
        one_of("--kubernetes", kubernetes, tuple(KUBERNETES))
    run = context.begin(c)
    wanted = matrix.cells(lint=lint, unit=unit, python=python, kubernetes=kubernetes, minikube=minikube, browser=browser)
    results = project.test(run, wanted)
    if run.report.dry:
        return
    run.report.table(("TESTED", "RESULT", "TIME", "WHERE, OR WHY NOT"), matrix.rows(results))
    failed = [one.cell.title for one in results if one.outcome == "failed"]
    missing = [one for one in results if one.cell.required and one.outcome == "not tested"]
    if failed:
        raise TaskError(f"Failed: {', '.join(failed)}.", "The reasons are above, with the command for one test; more in reports/")
    if missing:
        raise SetupError(f"{missing[0].cell.title} was requested and not tested: {missing[0].where}")
