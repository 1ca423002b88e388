"""Read the user's files: any content is parsed, or rejected in one sentence with the file and, if known, the line."""

import json
import tomllib
from pathlib import Path
from typing import Any

from kubetasks.errors import SettingError

FIX = "Fix the file"


def text(file: Path, errors: str = "strict") -> str:
    """Return the text of a UTF-8 file; `errors` is how Python handles invalid bytes. Raises SettingError."""
    try:
        return file.read_text(encoding="utf-8", errors=errors)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise SettingError(f"{file} cannot be read: line {line} is not UTF-8.", FIX) from error
    except OSError as error:
        raise SettingError(f"{file} cannot be read: {error.strerror}.", f"ls -ld {file}") from error


def yaml_documents(written: str, source: Path) -> list[Any]:
    """Parse the documents of a YAML text, which was read from `source` or derived from it. Raises SettingError."""
    import yaml

    try:
        return list(yaml.safe_load_all(written))
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        reason = ", ".join(filter(None, (error.context, error.problem)))
        raise SettingError(f"{source} cannot be read: {where}{reason}.", FIX) from error
    except yaml.YAMLError as error:  # a character that YAML does not allow
        raise SettingError(f"{source} cannot be read: {' '.join(str(error).split())}.", FIX) from error
    except (ValueError, OverflowError, AttributeError, LookupError) as error:  # for example an invalid date
        raise SettingError(f"{source} cannot be read: a value is invalid ({error}).", "Put it in quotes") from error
    except RecursionError as error:
        raise SettingError(f"{source} cannot be read: it is nested too deeply.", FIX) from error


def yaml(file: Path) -> Any:
    """Return the only document of a YAML file, or None if it is empty. Raises SettingError."""
    documents = yaml_documents(text(file), file)
    if len(documents) > 1:
        raise SettingError(f"{file} cannot be read: it has {len(documents)} documents instead of one.", FIX)
    return documents[0] if documents else None


def data(file: Path) -> Any:
    """Read a TOML or JSON file. Raises SettingError."""
    try:
        return (tomllib if file.suffix == ".toml" else json).loads(text(file))
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{file} cannot be read: {error}.", FIX) from error


def shown(path: Path, folder: Path) -> str:
    """Return the path as the user types it in that folder."""
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)
