"""Chromium, and npm to bring axe-core, for the tests of the page alone: those on PATH, or else Debian's."""

import re
import shutil

from kubetasks import shell
from kubetasks.errors import SetupError
from kubetasks.report import Report
from kubetasks.settings import Settings
from kubetasks.setup import packages, plan

PROGRAMS = {"chromium": ("chromium", "chromium-browser", "google-chrome"), "npm": ("npm",)}  # by Debian package


def bring(settings: Settings, report: Report) -> str:
    """The browser's name and version, brought where it is missing. Raises SetupError where it cannot be had."""
    missing = [package for package in PROGRAMS if not find(package)]
    if missing:
        names = " and ".join(missing)
        if not packages.possible():
            raise SetupError(f"The tests of the page need {names}.", f"sudo apt-get install {' '.join(missing)}")
        report.say(f"No {names}: installing Debian's with apt, for the tests of the page.")
        import filelock

        with filelock.FileLock(settings.cache / "setup.lock"), report.step(f"Installing {names}"):
            packages.install(missing, settings.cache, plan.new_log(settings))
    said = shell.run([find("chromium"), "--version"])
    version = re.match(r"\D+[\d.]+", said)  # Debian's says more
    return version[0] if version else said.strip()


def find(package: str) -> str:
    """The program of that package on PATH, or nothing."""
    return next(filter(None, map(shutil.which, PROGRAMS[package])), "")
