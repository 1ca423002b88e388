"""Find, pull or build an image with a Python that this machine lacks, for the unit tests."""

from dataclasses import dataclass

from kubetasks.engine import client
from kubetasks.engine.client import PullError
from kubetasks.errors import SetupError
from kubetasks.project.settings import Settings
from kubetasks.project.versions import PYTHON_IMAGE
from kubetasks.setup import downloads, receipt
from kubetasks.setup.requirements import Requirement
from kubetasks.terminal.door import Door
from nodeimages import here, names


@dataclass(frozen=True)
class Python:
    """One Python minor: the image to pull, the Debian release that has it, or "", and that release's package.

    Three images are pulled by tag, because their digests are not known.
    """

    minor: str
    pulled: str
    debian: str
    package: str = "python3"


PYTHONS = {
    version.minor: version
    for version in (
        Python("3.11", "python:3.11-slim", "bookworm"),
        Python("3.12", "python:3.12-slim", ""),
        Python("3.13", "python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b", "trixie"),
        Python("3.14", PYTHON_IMAGE, "sid"),
        Python("3.15", "python:3.15-slim", "sid", "python3.15"),
    )
}


def image(settings: Settings, do: Door, minor: str, may_install: bool) -> str:
    """Return the reference of an image with that Python; if it is missing and `may_install`, pull or build it.

    Raises EngineError, SetupError.
    """
    found, version = client.connect(), PYTHONS[minor]
    built = names.python(version.debian, version.package) if version.debian else ""
    wanted = Requirement(f"Python {minor}", lambda _: version.pulled, lambda _: built)
    there = wanted.find(found, settings)
    if there.present:
        return there.reference
    if not may_install:
        raise SetupError(f"This machine has no Python {minor}.", f"./inv test --python={minor} runs its tests in a container")
    if settings.images != "build":
        try:
            with receipt.locked(settings.cache, do.tell):
                downloads.image(found, settings.cache, do, version.pulled)
            return version.pulled
        except PullError as error:
            if settings.images == "pull":
                raise
            do.say(error.sentence)
    if not version.debian:
        raise SetupError(f"No available Debian release has Python {minor}, so that it cannot be built.")
    return here.python(found, settings, do, wanted, version.debian, version.package)
