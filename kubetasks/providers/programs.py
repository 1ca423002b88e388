"""A provider's own program: that of setup, otherwise the one on PATH, if it is new enough."""

import re
import shutil
from collections.abc import Mapping

from kubetasks.errors import ClusterError
from kubetasks.project.settings import Settings
from kubetasks.setup import inventory
from kubetasks.setup.requirements import Artifact
from kubetasks.terminal import shell


def require(
    name: str, found: Artifact, version: str, words: list[str], environment: Mapping[str, str], settings: Settings
) -> None:
    """Raises ClusterError if `found` is not there, and neither is a program `name` on PATH of that version or a newer one.

    `words` make the program print its version.
    """
    if found.present:
        return
    if shutil.which(name) is None:
        raise ClusterError(f"{name} is not installed.", inventory.command(settings))
    there = shell.run([name, *words], env=environment).strip()
    if _numbers(there) < _numbers(version):
        raise ClusterError(
            f"{name} on PATH is {there}; {version} or newer is needed.", f"{inventory.command(settings)} installs that one"
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
