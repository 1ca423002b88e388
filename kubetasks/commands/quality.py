"""Tasks for whoever changes this project."""

from invoke.context import Context
from invoke.tasks import task

from kubetasks import steps
from kubetasks.errors import SetupError, TaskError
from kubetasks.settings import one_of
from kubetasks.versions import KUBERNETES, PYTHONS


@task(
    help={
        "lint": "style, types and workflows alone",
        "unit": "the unit tests alone, on each Python",
        "python": "the unit tests on that Python",
        "kubernetes": "the tests on throwaway clusters of that minor",
        "browser": "the tests of the page in Chromium, on a throwaway cluster",
    }
)
def test(
    c: Context, lint: bool = False, unit: bool = False, python: str = "", kubernetes: str = "", browser: bool = False
) -> None:
    """Run everything that is tested, with tox.

    Style, types, workflows, unit tests on each Python, clusters of each Kubernetes that setup has brought, the page in Chromium.
    A Python that this machine lacks runs in a container. JUnit files go to reports/.

    Example: ./inv test --python=3.14 --kubernetes=1.36
    """
    if python:
        one_of("--python", python, tuple(PYTHONS))
    if kubernetes:
        one_of("--kubernetes", kubernetes, tuple(KUBERNETES))
    session = steps.session.Session(c)
    report = session.report
    wanted = steps.matrix.cells(lint=lint, unit=unit, python=python, kubernetes=kubernetes, browser=browser)
    if not report.mirror(*(f"tox run -e {cell.environment}" for cell in wanted)):
        return
    results = list(steps.matrix.run(session, wanted))
    report.table(("TESTED", "RESULT", "TIME", "WHERE, OR WHY NOT"), steps.matrix.rows(results))
    if session.settings.job_summary:
        with session.settings.job_summary.open("a") as page:
            page.write(steps.matrix.summary(results))
    failed = [one.cell.title for one in results if one.outcome == "failed"]
    missing = [one for one in results if one.cell.required and one.outcome == "not tested"]
    if failed:
        raise TaskError(f"Failed: {', '.join(failed)}.", "Above is why, and how to run one test alone; reports/ has the rest")
    if missing:
        raise SetupError(f"{missing[0].cell.title} was asked for and not tested: {missing[0].where}")
