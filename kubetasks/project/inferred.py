"""Infer the settings of a folder's application, each with its source, from Dockerfiles and a compose file."""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kubetasks.errors import ImageError, SettingError
from kubetasks.project import dockerfile, files
from kubetasks.project.words import DOCS

COMPOSE = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
BEYOND = {"include", "extends", "additional_contexts", "dockerfile_inline"}  # with these, part of a build is defined elsewhere
OF_BUILDS = {"secrets", "ssh"}  # credentials, which a build must not keep
RUNS = {"command", "entrypoint", "environment", "env_file", "volumes"}  # how a container of the image runs
LEVELS = ("", "*/", "*/*/")  # the folders that are searched for Dockerfiles
DOCKERFILE = re.compile(r"(?!\.|.*/\.|.*node_modules/|.*\.dockerignore$)(.*[/.])?Dockerfile(\.\w+)?")
VARIABLE = re.compile(r"^(\w+)=[\"']?(.*?)[\"']?$", re.MULTILINE)  # in an .env file
PORT = re.compile(r"^(?:.*:)?([1-9]\d*)(?:-\d+)?(?:/tcp)?$", re.IGNORECASE)  # a container port: 80, 80-90, 127.0.0.1:8080:80/tcp
URL = re.compile(r"https?://[^\s\"'|;,)<>&`\\/?#]++(/[\w.~%!*+:@=/-]*+)?+(?!\$)", re.ASCII)  # no variable in its path

Value = tuple[Any, str]  # a value of the table, and its source
Part = Mapping[str, Any]  # a part of a compose file
Choose = Callable[[str, Sequence[str], Sequence[str]], str]  # (what has the names, all names, the likely ones) -> the chosen name


class Described(NamedTuple):
    """`compose` is the file that kompose converts to manifests, or "" if they are generated here; `note` is for the user."""

    table: Mapping[str, Value]
    compose: str = ""
    note: str = ""


def described(folder: Path, choose: Choose, *, known: bool = False) -> Described:
    """Describe the folder, without its table if that is known. Raises ImageError if there is no Dockerfile, SettingError."""
    file = next((folder / name for name in COMPOSE if (folder / name).is_file()), None)
    try:
        services, left = _services(file, set() if known else BEYOND) if file else ({}, [])
        built = [name for name, service in services.items() if service["build"]]
        compose = file.name if file and built and len(services) > 1 else ""
        if known:
            return Described({}, compose)
        if not file or not built:
            return _of_dockerfiles(folder, choose)
        published = [name for name in built if services[name].get("ports")] or built
        needed = {other for service in services.values() for other in service.get("depends_on") or ()}
        own = choose(f"{file.name} builds", built, [name for name in published if name not in needed] or published)
        silent = ", ".join(name for name in services if name != own and not {"ports", "expose"} & {*services[name]})
        notes = [
            f"Other services cannot reach {silent}: kompose creates a Service only for those with ports or expose in {file.name}."
        ] * bool(silent)
        if not compose and (runs := ", ".join(sorted(RUNS & {*services[own]}))):
            notes.append(f"{runs} of {file.name} are not in the manifests that are made here: add them to the deployment.")
        if left:
            notes.append(
                f"Left out of the table, because the value comes from a variable and may be secret: {', '.join(sorted(left))}."
            )
        return Described(_of_services(folder, file.name, services, own), compose, "\n".join(notes))
    except (AttributeError, TypeError, ValueError) as error:  # a value has the wrong type
        raise SettingError(f"{file} cannot be read: it does not have the form that compose expects.", files.FIX) from error


def _services(file: Path, refused: set[str]) -> tuple[dict[str, Part], list[str]]:
    """Return a compose file's services that need no profile, with variables replaced, and the names of build arguments that were
    left out because they depend on a variable. Raises SettingError for refused keys.
    """
    left = list[str]()
    env = file.with_name(".env")
    values = {**dict(VARIABLE.findall(files.text(env) if env.is_file() else "")), **os.environ}
    quoted = {name: json.dumps(value)[1:-1] for name, value in values.items()}
    written = json.loads(json.dumps(files.yaml(file) or {}, default=str))
    content = json.loads(dockerfile.substituted(json.dumps(written), quoted))
    services = {name: dict(service or {}) for name, service in (content.get("services") or {}).items()}
    for name, service in services.items():
        build = service.get("build") or {}
        service["build"] = {"context": build} if isinstance(build, str) else build
        if service["build"].get("args"):  # they go into a file that is committed: it must hold no variable's value
            args = _pairs(json.loads(dockerfile.substituted(json.dumps(written["services"][name]["build"]["args"]), {})))
            kept = {key: value for key, value in args.items() if not dockerfile.VARIABLE.search(value)}
            service["build"] = {**service["build"], "args": kept}
            left += [] if service.get("profiles") else sorted(args.keys() - kept.keys())
    builds = [service["build"] for service in services.values()]
    found = {key for part in (content, *services.values(), *builds) for key in part.keys() & refused}
    if beyond := sorted(found | {key for build in builds if refused for key in build.keys() & OF_BUILDS}):
        raise SettingError(
            f"{file} has {', '.join(beyond)}, which init does not follow.", f"Write the table by hand: {DOCS}/application.md"
        )
    return {name: service for name, service in services.items() if not service.get("profiles")}, left


def _of_services(folder: Path, compose: str, services: Mapping[str, Part], own: str) -> dict[str, Value]:
    """Return the table of the service `own`, with the others' images, using kompose's names for objects and images."""
    names = {name: re.sub("[._]", "-", name.lower()) for name in services}
    images = {name: re.sub(":[^/]*$", "", service.get("image") or names[name]) for name, service in services.items()}
    if ported := next((image for name, image in images.items() if services[name]["build"] and ":" in image), ""):
        raise SettingError(f"{compose} builds {ported}: a name here cannot have a registry's port.", "Leave it out there")
    builds = dict[str, Part]()
    for name, service in services.items():
        if service["build"] and builds.setdefault(images[name], service["build"]) != service["build"]:
            raise SettingError(f"{compose} builds {images[name]} in two ways.", "Give each service's image a name of its own")
    others = {images[name] for name in services if name != own} - {names[own]}
    source = f"service {own} in {compose}"
    entries = {"name": (names[own], source) if len(services) > 1 else _name(folder)}
    entries |= _own(folder, services[own]["build"], services[own], source)
    if also := {name: _image(folder, build) for name, build in builds.items() if name in others}:
        entries["images"] = also, compose
    return entries


def _of_dockerfiles(folder: Path, choose: Choose) -> Described:
    """Describe a folder by its Dockerfiles alone. Raises ImageError if there is none, SettingError."""
    paths = [path.relative_to(folder).as_posix() for level in LEVELS for path in sorted(folder.glob(f"{level}*Dockerfile*"))]
    names = [name for name in paths if DOCKERFILE.fullmatch(name)] or ["Dockerfile"]
    own = choose("There are", names, names[:1] if names[0] == "Dockerfile" else names)
    others = ", ".join(name for name in names if name != own)
    note = f"Not built: {others}. [tool.kubetasks.images.NAME] in the table builds it too." if others else ""
    build = {"context": str(Path(own).parent), "dockerfile": Path(own).name}
    return Described({"name": _name(folder), **_own(folder, build, {}, own)}, note=note)


def _image(folder: Path, build: Part, *, own: bool = False) -> dict[str, Any]:
    """Return the table's entries for a build, except defaults. Raises ImageError if its Dockerfile does not exist."""
    context, args = str(build.get("context", ".")), build.get("args") or {}
    name = f"{context.rstrip('/')}/{build.get('dockerfile', 'Dockerfile')}".removeprefix("./")
    if not (folder / name).is_file():
        raise ImageError(f"There is no {name} in {folder}.", "Write one for your server, then kubetasks init")
    said = {"context": str(Path(context)), "dockerfile": str(Path(name)), "target": build.get("target"), "args": _pairs(args)}
    usual = (".", str(Path("" if own else context, "Dockerfile")))
    return {key: value for key, value in said.items() if value and value not in usual}


def _pairs(args: Any) -> dict[str, str]:
    """Return the build arguments that have a value, as text."""
    pairs = args.items() if isinstance(args, dict) else [str(pair).split("=", 1) for pair in args if "=" in str(pair)]
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in pairs if value is not None}


def _own(folder: Path, build: Part, service: Part, source: str) -> dict[str, Value]:
    """Return the entries for the application's own image, its port and its health path. Raises ImageError, SettingError."""
    image = _image(folder, build, own=True)
    name = image.get("dockerfile", "Dockerfile")
    stages, known = dockerfile.build_stages(files.text(folder / name, errors="surrogateescape"), image.get("target", ""))
    exposed = " ".join(one.value for stage in stages for one in stage if one.keyword == "EXPOSE")
    checks = ["", *(one.value for stage in reversed(stages) for one in stage if one.keyword == "HEALTHCHECK")]  # the last counts
    published = service.get("ports") or service.get("expose") or []
    texts = [str(port.get("target") if isinstance(port, dict) else port) for port in published]
    port, where = _first(PORT, {source: texts, f"EXPOSE in {name}": dockerfile.substituted(exposed, known).split()}, "8080")
    said = {source: [str(service.get("healthcheck"))], f"HEALTHCHECK in {name}": [dockerfile.substituted(checks[-1], known)]}
    entries = {key: (value, source) for key, value in image.items()}
    return {**entries, "port": (int(port), where), "health": _first(URL, said, "/")}


def _name(folder: Path) -> Value:
    name = re.sub("[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-")[:40].strip("-")
    return name or "app", "the folder's name" if name else "the default"


def _first(pattern: re.Pattern[str], texts: Mapping[str, Sequence[str]], default: str) -> tuple[str, str]:
    """Return what the pattern captures in the first text that matches, or the default, and the source of that."""
    found = ((match[1] or default, source) for source, each in texts.items() for text in each if (match := pattern.search(text)))
    return next(found, (default, "the default"))
