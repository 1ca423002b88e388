"""The project: everything that is tested."""

from kubetasks import equivalents
from kubetasks.actions.context import Context
from kubetasks.testing import matrix
from kubetasks.testing.matrix import Cell, Result


def test(context: Context, cells: list[Cell]) -> list[Result]:
    """Run the cells one after the other; [] under --dry. What cannot be tested is a result too."""
    if not context.report.equivalent(*(equivalents.test(cell.environment, cell.variables) for cell in cells)):
        return []
    results = list(matrix.run(context.settings, context.report, cells))
    if context.settings.job_summary:
        with context.settings.job_summary.open("a") as page:
            page.write(matrix.summary(results))
    return results
