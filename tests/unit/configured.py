"""Settings and a door for unit tests."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubetasks.project import settings
from kubetasks.project.application import Project
from kubetasks.project.settings import Settings
from kubetasks.terminal.door import Door
from kubetasks.terminal.report import Report
from tasks import PROJECT


def configured(
    folder: Path = PROJECT.folder, environment: Mapping[str, str] | None = None, project: Project = PROJECT, **changes: Any
) -> Settings:
    """Return a project's default settings with `changes`, as if it were in `folder`."""
    there = dataclasses.replace(project, folder=folder)
    return dataclasses.replace(settings.read(there, settings.DEFAULTS, environment or {}), **changes)


def door(*, dry: bool = False) -> Door:
    """Return a door with a report of its own."""
    return Door(Report(), dry=dry)
