"""This machine: what it lacks, installed and removed again."""

from kubetasks.errors import SetupError
from kubetasks.pipeline.run import Context
from kubetasks.setup import engine, install, inventory, removal
from kubetasks.setup.inventory import Item


def setup(context: Context) -> bool:
    """Install what is missing; False if nothing is. Raises SetupError, EngineError, ProgramError."""
    installed = install.install(context.settings, context.report, context.provider.needs)
    client = inventory.docker()
    if context.provider.needs and not client.present:
        raise SetupError(f"The {client.name} is missing, and setup does not install it beside your engine.", client.remedy)
    return installed


def stop(context: Context) -> bool:
    """Stop the container engine that setup started; False if none of that runs. Raises SetupError."""
    return engine.stop(context.settings.cache, context.report)


def remove(context: Context) -> list[str]:
    """Remove what setup installed; return the names. Raises ClusterError, EngineError, SetupError."""
    return removal.remove(context.settings, context.report)


def doctor(context: Context) -> list[Item]:
    """What the tasks need, and whether it is there."""
    return inventory.look(context.settings, context.provider.needs)
