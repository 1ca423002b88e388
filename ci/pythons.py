"""Find or install a Python for the unit tests: the machine's own, otherwise an image that has it."""

from kubetasks.engine import client
from kubetasks.errors import SetupError
from kubetasks.project.settings import Settings
from kubetasks.project.versions import PYTHONS
from kubetasks.setup import downloads, install, receipt, requirements
from kubetasks.terminal.report import Report
from nodeimages import here


def image(settings: Settings, report: Report, minor: str, may_install: bool) -> str:
    """The name of an image with that Python; if it is missing, pull or build it, if `may_install`.

    Raises EngineError, SetupError.
    """
    found, version = client.connect(), PYTHONS[minor]
    wanted = requirements.python(minor).find(found, settings)
    if wanted.present:
        return wanted.reference
    if not may_install:
        raise SetupError(f"This machine has no Python {minor}.", f"./inv test --python={minor} runs its tests in a container")
    if install.source(settings) == "pull":
        with receipt.locked(settings.cache, report):
            downloads.image(found, settings, report, version.pulled)
        return version.pulled
    if not version.debian:
        raise SetupError(f"No image registry is reachable, and no available Debian release has Python {minor}.")
    return here.python(found, settings, report, minor)
