"""What a folder says of its application, each value with where it comes from: read from a Dockerfile and a compose file."""

import json
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kubetasks.errors import ImageError, SettingError
from kubetasks.project import dockerfile, files

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
TAKEN = ("build", "ports", "expose", "healthcheck", "image", "container_name", "restart")
URL = re.compile(r"https?://[^\s\"'|;,)<>&`\\]+")
PATH = re.compile(r"/[!#-~]*")  # what a URL's path may be, without its quotation marks
COMMAND = re.compile(r"CMD\b\s*(.*)", re.IGNORECASE)
NOT_IN_NAME = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class Inferred:
    """A value of the table, and where it comes from."""

    value: Any
    source: str


def table(folder: Path) -> dict[str, Inferred]:
    """The table of the application in a folder. Raises ImageError without a Dockerfile, SettingError for what cannot be read."""
    try:
        return _table(folder, *_compose(folder))
    except (AttributeError, TypeError, ValueError) as error:  # what is no mapping or no text there
        raise SettingError(
            f"{_compose_file(folder)} cannot be read: it has something else than compose expects.", files.FIX
        ) from error


def _table(folder: Path, compose: str, service: Mapping[str, Any]) -> dict[str, Inferred]:
    made = {"name": _name(folder)}
    build = service.get("build") or {}
    build = {"context": build} if isinstance(build, str) else build
    context = str(build.get("context", "."))
    name = str(Path(context) / build.get("dockerfile", "Dockerfile"))
    for key, value, usual in (("context", context, "."), ("dockerfile", name, "Dockerfile")):
        if Path(value) != Path(usual):
            made[key] = Inferred(value, compose)
    file = folder / name
    if not file.is_file():
        raise ImageError(f"There is no {file.name} in {file.parent}.", "Write one for your server, then kubetasks init")
    ports, command = _of_image(file)
    made["port"] = (
        _port(ports, f"EXPOSE in {name}")
        or _port(service.get("ports") or service.get("expose") or [], compose)
        or Inferred(8080, "the default: neither EXPOSE nor a compose file names one")
    )
    check = service.get("healthcheck") or {}
    made["health"] = (
        _health(command, f"HEALTHCHECK in {name}")
        or _health(_command(check.get("test") or ""), compose)
        or Inferred("/", "the default: no health check names a URL")
    )
    return made


def _of_image(file: Path) -> tuple[list[str], str]:
    """The ports that the image exposes, those of its last stage first, and the command of its health check, or "".

    Raises SettingError.
    """
    try:
        stages, known = dockerfile.of_image(dockerfile.decoded(file.read_bytes()))
    except OSError as error:
        raise SettingError(f"{file} cannot be read: {error.strerror}.", f"ls -ld {shlex.quote(str(file))}") from error
    exposed = [instruction.value for stage in stages for instruction in stage if instruction.keyword == "EXPOSE"]
    ports = dockerfile.substituted(" ".join(exposed), known).split()
    checks = [instruction.value for stage in reversed(stages) for instruction in stage if instruction.keyword == "HEALTHCHECK"]
    last = checks[-1] if checks else ""  # the others have no effect
    given = COMMAND.match(last)
    words = given[1] if given else ""  # NONE
    with suppress(ValueError, RecursionError):  # else it is for a shell
        words = json.loads(words)
    return ports, dockerfile.substituted(_command(words), known)


def _command(words: Any) -> str:
    """A command that is written as one text, or as a list of words."""
    return " ".join(map(str, words)) if isinstance(words, list) else str(words)


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
    services = (files.yaml(file) or {}).get("services") or {}
    return {str(name): dict(service) for name, service in services.items() if service}


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
    unknown = sorted({str(key) for mapping in builds for key in mapping} - {"context", "dockerfile"})
    by_hand = "Write the table by hand"
    if len(images) > 1:
        raise SettingError(f"{file} builds {', '.join(built)}: an application has one image.", by_hand)
    if unknown:
        raise SettingError(f"{file} builds with {', '.join(unknown)}, which the tasks do not pass on.", by_hand)
    exposed = sorted(built.items(), key=lambda service: not service[1].get("ports"))  # the published service first
    return next(((f"service {name} in {file.name}", service) for name, service in exposed), ("", {}))


def _port(ports: Any, source: str) -> Inferred | None:
    """The first port of the container: 8000, 8000-8010, "8080:80", "127.0.0.1:8080:80/tcp", or a mapping with `target`."""
    for port in ports if isinstance(ports, list) else [ports]:
        text, _, protocol = str(port.get("target", "") if isinstance(port, dict) else port).partition("/")
        number = text.rpartition(":")[2].partition("-")[0]
        if re.fullmatch("[0-9]{1,5}", number) and 0 < int(number) < 65536 and protocol.lower() in ("", "tcp"):
            return Inferred(int(number), source)
    return None


def _health(command: str, source: str) -> Inferred | None:
    """The path of the first URL in a health check's command."""
    for url in URL.findall(command):
        try:
            path = urlsplit(url).path or "/"
        except ValueError:  # an address of IPv6 that is none
            continue
        if PATH.fullmatch(path) and "$" not in path:
            return Inferred(path, source)
    return None
