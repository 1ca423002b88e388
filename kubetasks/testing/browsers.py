"""Find or install what the tests of the page need: Chromium, and npm for axe-core."""

import re
import shutil

from kubetasks import shell
from kubetasks.errors import SetupError
from kubetasks.machine import packages, receipt
from kubetasks.machine.log import new_log
from kubetasks.report import Report
from kubetasks.settings import Settings

PROGRAMS = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "npm": ("npm",)}  # by Debian package


def ensure(settings: Settings, report: Report) -> str:
    """Return the browser's name and version; install what is missing. Raises SetupError if that is not possible."""
    missing = [package for package in PROGRAMS if not find(package)]
    if missing:
        names = " and ".join(missing)
        if not packages.possible():
            raise SetupError(f"The tests of the page need {names}.", f"sudo apt-get install {' '.join(missing)}")
        report.say(f"No {names}: installing Debian's with apt, for the tests of the page.")
        with receipt.locked(settings.cache, report), report.step(f"Installing {names}"):
            packages.install(missing, settings.cache, new_log(settings))
    said = shell.run([find("chromium"), "--version"])
    version = re.match(r"\D+[\d.]+", said)  # Debian's says more
    return version[0] if version else said.strip()


def find(package: str) -> str:
    """The program of that package on PATH, or ""."""
    return next(filter(None, map(shutil.which, PROGRAMS[package])), "")
