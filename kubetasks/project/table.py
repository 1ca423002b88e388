"""The table of an application: [tool.kubetasks] in pyproject.toml, or the same keys under kubetasks: in invoke.yaml."""

import difflib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from kubetasks.errors import SettingError
from kubetasks.project import files
from kubetasks.project.words import DOCS

KEYS: Mapping[str, type | tuple[type, ...]] = {  # with the type of each value; `manifests = false` generates them
    "name": str,
    "port": int,
    "health": str,
    "context": str,
    "dockerfile": str,
    "target": str,
    "args": dict,
    "images": dict,
    "manifests": (str, bool),
    "kind": str,
    "pod_key": str,
    "node_key": str,
    "owner": str,
}
OF_IMAGE = ("context", "dockerfile", "target", "args")
FILES = ("pyproject.toml", "invoke.yaml")
SETTINGS = ("cluster", "app", "setup")  # sections of invoke.yaml, beside these keys, with the tasks' settings
NAME = "kubetasks"
TASKS = "tasks.py"


def nearest(folder: Path) -> Path | None:
    """Return the nearest folder, here or above, with a table or a tasks.py that names kubetasks, or None. Raises SettingError."""
    return next((parent for parent in (folder, *folder.parents) if has_tasks(parent) or read(parent)), None)


def has_tasks(folder: Path) -> bool:
    """Return whether the folder has a tasks.py that names kubetasks: other tools use modules of that name too."""
    file = folder / TASKS
    return file.is_file() and NAME in file.read_text(encoding="utf-8", errors="replace")


def read(folder: Path) -> dict[str, Any]:
    """Return the table in one of FILES in that folder, without the tasks' settings, or {}. Raises SettingError."""
    tables = {file: table for file, table in ((file, _in(folder / file)) for file in FILES) if table}
    if len(tables) > 1:
        raise SettingError(f"Both {' and '.join(FILES)} in {folder} describe the application.", "Leave one of them out")
    for file, table in tables.items():
        for key, value in table.items():
            _check(f"{file}: {key}", key, value, KEYS)
        if "name" not in table:
            raise SettingError(f"{folder / file} has no name of the application.", 'name = "NAME" under [tool.kubetasks]')
        return table
    return {}


def _in(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    content = files.data(file).get("tool", {}) if file.suffix == ".toml" else files.yaml(file) or {}
    table = (content.get(NAME) or {}) if isinstance(content, dict) else None
    if not isinstance(table, dict):
        raise SettingError(f"{file} cannot be read: its top level and {NAME} must be sections.", files.FIX)
    return {str(key): value for key, value in table.items() if file.suffix == ".toml" or key not in SETTINGS}


def _check(where: str, key: str, value: object, keys: Collection[str]) -> None:
    """Raises SettingError if `key` is not one of the keys, or its value has the wrong type."""
    if key not in keys:
        near = difflib.get_close_matches(key, keys, 1)
        known = f"It has {', '.join(keys)}; settings of the tasks are in invoke.yaml: {DOCS}/use.md#settings"
        raise SettingError(f"{where} is not a key of the table.", f"Did you mean {near[0]}?" if near else known)
    if not isinstance(value, KEYS[key]) or (value is True):
        wanted = "a number" if KEYS[key] is int else "a table" if KEYS[key] is dict else "text"
        raise SettingError(f"{where} must be {wanted}, not {value!r}.")
    for name, part in value.items() if isinstance(value, dict) else ():
        if key == "images":
            if not isinstance(part, dict):
                raise SettingError(f"{where}.{name} must be a table, not {part!r}.")
            for inner, given in part.items():
                _check(f"{where}.{name}.{inner}", inner, given, OF_IMAGE)
        elif not isinstance(part, str):
            raise SettingError(f"{where}.{name} must be text, not {part!r}.", f'{name} = "{part}"')
