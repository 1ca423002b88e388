"""Tasks that look at what the machine lacks, bring it, and take it away again."""

from typing import TYPE_CHECKING

from invoke.context import Context
from invoke.tasks import task

from kubetasks import steps
from kubetasks.errors import SettingError, SetupError
from kubetasks.report import Report

if TYPE_CHECKING:
    from kubetasks.setup import plan


@task(help={"remove": "take away what setup made", "stop": "stop the container engine that setup started"})
def setup(c: Context, remove: bool = False, stop: bool = False) -> None:
    """Bring what this machine lacks.

    That is: container engine, kind, node image, base image, load balancer.

    Example: ./inv setup build deploy expose scale
    """
    from kubetasks.setup import engine, plan, removal

    if remove and stop:
        raise SettingError("--remove and --stop exclude each other; --remove stops the engine too.")
    session = steps.session.Session(c)
    report, settings = session.report, session.settings
    if report.dry:
        _show(report, plan.look(settings))
    elif stop:
        if not engine.stop(settings.cache, report):
            report.say("No engine that setup started runs.")
    elif remove:
        gone = removal.take_away(settings, report)
        report.say("Removed:\n  " + "\n  ".join(gone) if gone else "Nothing was to be removed.")
    elif not plan.bring(settings, report):
        report.say("Everything is there: nothing to be done.")


@task(help={"json": "one JSON document on standard output"})
def doctor(c: Context, json: bool = False) -> None:
    """Show what is there and what setup would bring.

    It changes nothing, and fails where something is missing.

    Example: ./inv doctor --json
    """
    from kubetasks.setup import plan

    session = steps.session.Session(c, json=json)
    items = plan.look(session.settings)
    if json:
        session.report.document({"items": plan.documents(items)})
    else:
        _show(session.report, items)
    missing = [item.name for item in items if not item.present]
    if missing:
        raise SetupError(f"Missing: {', '.join(missing)}.", "./inv setup")


def _show(report: Report, items: "list[plan.Item]") -> None:
    report.table(("NEEDED", "THERE", ""), [(item.name, "yes" if item.present else "no", item.detail) for item in items])
