"""What a folder says of its application, each value with where it comes from: read from a Dockerfile and a compose file."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubetasks.errors import ImageError, SettingError

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
TAKEN = ("build", "ports", "expose", "healthcheck", "image", "container_name", "restart")
CONTINUED = re.compile(r"\\[ \t]*\r?\n")
EXPOSE = re.compile(r"^\s*EXPOSE\s+(\d+)(?!\d|/udp)", re.IGNORECASE | re.MULTILINE)
HEALTHCHECK = re.compile(r"^\s*HEALTHCHECK\s+(?!NONE)(.+)$", re.IGNORECASE | re.MULTILINE)
STAGE = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE | re.MULTILINE)
URL = re.compile(r"https?://[^\s\"'|;,)]+")
NOT_IN_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Inferred:
    """A value of the table, and where it comes from."""

    value: Any
    source: str


def table(folder: Path) -> dict[str, Inferred]:
    """The table of the application in a folder. Raises ImageError without a Dockerfile, SettingError for what cannot be read."""
    compose, service = _compose(folder)
    try:
        return _table(folder, compose, service)
    except (AttributeError, TypeError) as error:  # what is no mapping or no text there
        raise SettingError(f"{folder}: {compose} has something else than compose expects there.", "Fix the file") from error


def _table(folder: Path, compose: str, service: Mapping[str, Any]) -> dict[str, Inferred]:
    made = {"name": _name(folder)}
    build = service.get("build") or {}
    build = {"context": build} if isinstance(build, str) else build
    context = str(build.get("context", "."))
    dockerfile = str(Path(context) / build.get("dockerfile", "Dockerfile"))
    for key, value, usual in (("context", context, "."), ("dockerfile", dockerfile, "Dockerfile")):
        if Path(value) != Path(usual):
            made[key] = Inferred(value, compose)
    file = folder / dockerfile
    if not file.is_file():
        raise ImageError(f"There is no {file.name} in {file.parent}.", "Write one for your server, then kubetasks init")
    text = _of_image(CONTINUED.sub(" ", _read(file)))
    made["port"] = (
        _port(EXPOSE.findall(text), f"EXPOSE in {dockerfile}")
        or _port(service.get("ports") or service.get("expose") or [], compose)
        or Inferred(8080, "the default: neither EXPOSE nor a compose file names one")
    )
    check = service.get("healthcheck") or {}
    made["health"] = (
        _health(HEALTHCHECK.findall(text), f"HEALTHCHECK in {dockerfile}")
        or _health([json.dumps(check.get("test", ""), default=str)], compose)
        or Inferred("/", "the default: no health check names a URL")
    )
    return made


def _of_image(dockerfile: str) -> str:
    """What a Dockerfile says of the stage that becomes the image, the last one, and of the stages that it begins from."""
    stages = list(STAGE.finditer(dockerfile))
    ends = [*(stage.start() for stage in stages[1:]), len(dockerfile)]
    texts = {found[2]: (found[1], dockerfile[found.start() : end]) for found, end in zip(stages, ends, strict=True) if found[2]}
    if not stages:
        return dockerfile
    base, told = stages[-1][1], dockerfile[stages[-1].start() :]
    while base in texts:
        base, more = texts.pop(base)
        told += f"\n{more}"
    return told


def left_out(folder: Path) -> list[str]:
    """What the compose file says and the table has no place for: other services, and keys of the one that is built."""
    file = _compose_file(folder)
    _, chosen = _compose(folder)
    if not file or not chosen:
        return []
    services = _services(file)
    others = [f"service {name}" for name, service in services.items() if service is not chosen and service != chosen]
    return [*others, *(str(key) for key in chosen if key not in TAKEN)]


def _compose_file(folder: Path) -> Path | None:
    return next((folder / name for name in COMPOSE if (folder / name).is_file()), None)


def _services(file: Path) -> Mapping[str, Any]:
    """The services of a compose file. Raises SettingError."""
    import yaml

    try:
        services = (yaml.safe_load(_read(file)) or {}).get("services") or {}
        return {str(name): dict(service) for name, service in services.items() if service}
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise SettingError(f"{file} cannot be read: {' '.join(str(error).split())}", "Fix the file") from error


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise SettingError(f"{file} cannot be read: {error}", "Fix the file") from error


def _name(folder: Path) -> Inferred:
    name = NOT_IN_NAME.sub("-", folder.resolve().name.lower()).strip("-")[:40].strip("-")
    return Inferred(name or "app", "the folder's name" if name else "the default: the folder's name has no letter")


def _compose(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """The name of the compose file and its one service that is built; "" and {} if there is none.

    Raises SettingError if several images are built: nothing says which one is meant; or one that this tool would not build.
    """
    file = _compose_file(folder)
    if file is None:
        return "", {}
    built = {name: service for name, service in _services(file).items() if service.get("build")}
    images = {json.dumps(service["build"], sort_keys=True, default=str) for service in built.values()}
    builds = [service["build"] for service in built.values() if isinstance(service["build"], dict)]
    unknown = sorted({str(key) for one in builds for key in one} - {"context", "dockerfile"})
    by_hand = "Write the table by hand"
    if len(images) > 1:
        raise SettingError(f"{file} builds {', '.join(built)}: an application has one image.", by_hand)
    if unknown:
        raise SettingError(f"{file} builds with {', '.join(unknown)}, which the tasks do not pass on.", by_hand)
    exposed = sorted(built.items(), key=lambda one: not one[1].get("ports"))  # of several from one image, what is published
    return next(((f"service {name} in {file.name}", service) for name, service in exposed), ("", {}))


def _port(found: Any, source: str) -> Inferred | None:
    """The first port of the container: 8000, "8080:80", "127.0.0.1:8080:80/tcp", or a mapping with `target`."""
    for one in found if isinstance(found, list) else [found]:
        text = str(one.get("target", "") if isinstance(one, dict) else one).partition("/")[0].rpartition(":")[2]
        if text.isdecimal() and 0 < int(text) < 65536:
            return Inferred(int(text), source)
    return None


def _health(found: list[str], source: str) -> Inferred | None:
    """The path of the first URL in a health check's command."""
    for text in found:
        for url in URL.findall(text):
            return Inferred("/" + url.partition("://")[2].partition("/")[2].partition("?")[0], source)
    return None
