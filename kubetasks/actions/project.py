"""The project: everything that is tested."""

from kubetasks import equivalents
from kubetasks.actions.context import Context
from kubetasks.testing import matrix
from kubetasks.testing.matrix import Job, Result


def test(context: Context, jobs: list[Job]) -> list[Result]:
    """Run the jobs one after the other; [] under --dry. What cannot be tested is a result too."""
    if not context.report.equivalent(*(equivalents.test(job.environment, job.arguments, job.variables) for job in jobs)):
        return []
    results = list(matrix.run(context.settings, context.report, jobs))
    if context.settings.job_summary:
        with context.settings.job_summary.open("a") as page:
            page.write(matrix.summary(results))
    return results
