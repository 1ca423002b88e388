"""Images with a Python that this machine lacks, for the tests alone: pulled, or made from the Debian release that has it."""

import shutil
import threading

from kubetasks import engine
from kubetasks.errors import SetupError
from kubetasks.report import Report
from kubetasks.settings import Settings
from kubetasks.setup import build, download, images, packages, plan
from kubetasks.versions import PYTHONS
from node_image import recipe


def bring(settings: Settings, report: Report, minor: str) -> str:
    """The image's name, brought where it is missing. Raises EngineError, and SetupError where it cannot be had."""
    connection, version = engine.connect(), PYTHONS[minor]
    built = recipe.python_reference(version.debian) if version.debian else ""
    there = [reference for reference in (version.pulled, built) if reference and connection.image_id(reference)]
    if there:
        return there[0]
    if images.source(settings) == "pull":
        download.image(connection, settings, report, version.pulled)
        return version.pulled
    if not built:
        raise SetupError(f"No image registry answers, and no Debian release that can be had has Python {minor}.")
    reason = build.needs()
    if reason:
        raise SetupError(f"No image registry answers, and {reason}.")
    import filelock

    log, root = plan.new_log(settings), settings.cache / f"build-python-{minor}"
    with filelock.FileLock(settings.cache / "setup.lock"):
        packages.install(build.BUILD_PACKAGES, settings.cache, log)
        with report.step(f"Making an image with Python {minor} from Debian packages ({version.debian})"):
            try:
                build.make_python(connection, version.debian, root, log, threading.Event())
            finally:
                shutil.rmtree(root, ignore_errors=True)
    return built
