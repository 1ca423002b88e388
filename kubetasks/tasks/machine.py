"""This machine: show, install and remove what the tasks need."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from kubetasks.errors import SettingError, SetupError
from kubetasks.tasks.task import JSON, task
from kubetasks.terminal.report import Report

if TYPE_CHECKING:
    from kubetasks.pipeline.run import Run
    from kubetasks.setup.inventory import Item


@task(help={"remove": "remove what setup installed", "stop": "stop the container engine that setup started"})
def setup(run: Run, remove: bool = False, stop: bool = False) -> None:
    """Install what this machine lacks.

    Installs the base image, if the Dockerfile asks for it, and what the provider needs: for kind its program, a node image, a
    load balancer and a registry.
    Images go into the engine, programs into ~/.cache/kubetasks. In a clone of kubetasks, it also installs a container
    engine with apt, as root.

    Example: ./inv setup build deploy expose scale
    Undo: ./inv setup --remove
    """
    from kubetasks.setup import inventory

    if remove and stop:
        raise SettingError("--remove and --stop exclude each other; --remove stops the engine too.")
    work = _stop if stop else _remove if remove else _install
    if run.do.unless_dry(lambda: work(run)) is not None:
        return
    if remove or stop:
        raise SettingError("--dry shows what setup would install, and not what --remove or --stop would do.")
    _show(run.report, inventory.look(run.settings, run.provider.requirements))


def _install(run: Run) -> bool:
    """Install what is missing; return False if nothing is."""
    from kubetasks.setup import install, inventory

    needs = run.provider.requirements
    installed = install.install(run.settings, run.do, needs)
    if needs:
        inventory.require_docker()
    if not installed:
        run.report.say("Nothing is missing.")
    return installed


def _stop(run: Run) -> bool:
    """Stop the engine that setup started; return False if it is not running."""
    from kubetasks.setup import requirements

    host = requirements.optional_module("hostengine.engine")
    stopped = bool(host and host.stop(run.settings.cache, run.do))
    if not stopped:
        run.report.say("No engine that setup started is running.")
    return stopped


def _remove(run: Run) -> bool:
    """Remove what setup installed; return False if there is nothing."""
    from kubetasks.setup import removal, requirements

    gone = (requirements.optional_module("hostengine.removal") or removal).remove(run.settings, run.do)
    run.report.say("Removed:\n  " + "\n  ".join(gone) if gone else "There was nothing to remove.")
    return bool(gone)


@task(help={"json": JSON})
def doctor(run: Run, json: bool = False) -> None:
    """Show what this machine has and what setup would install.

    It changes nothing, and fails if something is missing.

    Example: ./inv doctor --json
    """
    from kubetasks.setup import inventory

    needs = run.provider.requirements
    items = inventory.look(run.settings, needs)
    missing = [item for item in items if not item.present]
    cautions = run.host_engine.cautions() if needs and items[0].present else []
    if json:
        run.report.document({"items": [asdict(item) for item in items], "cautions": cautions})
    else:
        _show(run.report, items)
        for caution in cautions:
            run.report.say(caution)
    if missing:
        names = ", ".join(item.name for item in missing)
        raise SetupError(f"Missing: {names}.", inventory.remedies(run.settings, missing))


def _show(report: Report, items: list[Item]) -> None:
    report.table(("COMPONENT", "INSTALLED", ""), [(item.name, "yes" if item.present else "no", item.detail) for item in items])
