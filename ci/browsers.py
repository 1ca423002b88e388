"""Find or install Chromium for the tests of the page."""

import re
import shutil

from hostengine import packages
from kubetasks.errors import SetupError
from kubetasks.project.settings import Settings
from kubetasks.setup import receipt
from kubetasks.setup.log import new_log
from kubetasks.terminal import shell
from kubetasks.terminal.door import Door

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PACKAGE = "chromium"  # Debian's
NEEDED = "The tests of the page need Chromium."
INSTALL = f"sudo apt-get install {PACKAGE}"


def ensure(settings: Settings, do: Door, install: bool) -> str:
    """Return the browser's name and version; with `install`, install one if necessary. Raises SetupError if there is none."""
    if not find():
        if not install or not packages.possible():
            raise SetupError(NEEDED, INSTALL)
        do.say("No Chromium: installing Debian's with apt, for the tests of the page.")
        with receipt.locked(settings.cache, do.tell), do.step("Installing Chromium"):
            packages.install([PACKAGE], settings.cache, new_log(settings.cache))
    said = shell.run([find(), "--version"])
    version = re.match(r"\D+[\d.]+", said)  # Debian's prints more
    return version[0] if version else said.strip()


def find() -> str:
    """Return the path of the Chromium or Chrome on PATH, or ""."""
    return next(filter(None, map(shutil.which, PROGRAMS)), "")
