"""This machine: what it lacks, installed and removed again."""

from kubetasks.errors import SetupError
from kubetasks.pipeline.run import Run
from kubetasks.setup import engine, install, inventory, removal
from kubetasks.setup.inventory import Item


def setup(run: Run) -> bool:
    """Install what is missing; False if nothing is. Raises SetupError, EngineError, ProgramError."""
    installed = install.install(run.settings, run.report, run.provider.needs)
    client = inventory.docker()
    if run.provider.needs and not client.present:
        raise SetupError(f"The {client.name} is missing, and setup does not install it beside your engine.", client.remedy)
    return installed


def stop(run: Run) -> bool:
    """Stop the container engine that setup started; False if none of that runs. Raises SetupError."""
    return engine.stop(run.settings.cache, run.report)


def remove(run: Run) -> list[str]:
    """Remove what setup installed; return the names. Raises ClusterError, EngineError, SetupError."""
    return removal.remove(run.settings, run.report)


def doctor(run: Run) -> list[Item]:
    """What the tasks need, and whether it is there."""
    return inventory.look(run.settings, run.provider.needs)
