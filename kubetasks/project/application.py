"""A project, and the application that its tasks build and run."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kubetasks.errors import SettingError
from kubetasks.project import table
from kubetasks.project.labels import Owner
from kubetasks.project.words import COMMAND, PACKAGE, Words, pages

LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-._A-Za-z0-9]{0,61}[A-Za-z0-9])?")
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST_NAME = 40  # a node is called CLUSTER-control-plane, which may have at most 63 characters
MADE = "manifests = false in the table, or manifests=None in Project.of, generates them"
REPOSITORY = re.compile(r"[a-z0-9]+([._/-]+[a-z0-9]+)*")  # the path in an image reference, as registries allow it
PREFIX = re.compile(r"([a-z]+(_[a-z]+)*)?")
MANIFESTS = "k8s"
STATE_FOLDER = ".state"  # contains credentials, so it is never part of an image


@dataclass(frozen=True)
class Source:
    """What the image `name` is built from; `target` is a build stage ("" for the last one), `args` are build arguments."""

    name: str
    context: Path
    dockerfile: Path
    target: str = ""
    args: Mapping[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        """The tutorial's name, which belongs to the newest build and which the plain manifests use."""
        return f"{self.name}:v1"


@dataclass(frozen=True)
class Application:
    """A web server that speaks HTTP, with its images and manifests.

    Its own image, its objects and its container have its name; images and objects carry the owner's label. `source` is what its
    own image is built from, `more` the sources of the others. `manifests` is a folder, or None to generate them from name, port
    and health path. The container listens on `port`. GET `health` returns a status below 400 once the server is ready.

    With a `pod_key`, an answer must be a JSON object with status 200 that names its pod under that key. The answer to GET / names
    its node under `node_key`. A key is "" if the answers do not have it.
    """

    owner: Owner
    source: Source
    manifests: Path | None
    port: int
    health: str
    pod_key: str = ""
    node_key: str = ""
    more: tuple[Source, ...] = ()

    @property
    def name(self) -> str:
        """The name of the application, and of its own image."""
        return self.source.name

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources of all its images, starting with its own image."""
        return (self.source, *self.more)

    @property
    def traffic(self) -> str:
        """The path of test requests: "/", or the health path if answers name no pod, because no other path is known to exist."""
        return "/" if self.pod_key else self.health

    @property
    def deployment(self) -> str:
        """The deployment as kubectl prints it."""
        return f"deployment/{self.name}"

    @property
    def service(self) -> str:
        """The service as kubectl prints it."""
        return f"service/{self.name}"

    @property
    def selector(self) -> str:
        """The label selector of its pods."""
        return f"app.kubernetes.io/name={self.name}"


def _source(
    folder: Path, name: str, context: str = ".", dockerfile: str = "", target: str = "", args: Mapping[str, str] | None = None
) -> Source:
    """Return the source with absolute paths. Raises SettingError."""
    if not REPOSITORY.fullmatch(name):
        raise SettingError(f"An image's name is in lower case and without a tag, as in a registry, not {name!r}.")
    if "\0" in context + dockerfile:
        raise SettingError(f"The context and the Dockerfile of {name} must be paths, not {context!r} and {dockerfile!r}.")
    root = (folder / context).resolve()
    return Source(name, root, (folder / dockerfile).resolve() if dockerfile else root / "Dockerfile", target, args or {})


@dataclass(frozen=True)
class Project:
    """A folder with an application, and how its tasks are configured and called.

    `prefix` keeps their settings apart from the project's own: they are in the section PREFIX of invoke.yaml and in variables
    INVOKE_PREFIX_...; with "", their sections are at the top level, and their variables start with INVOKE_. `command` is what
    the user types before the name of a task. `kind` is a configuration file for clusters created with kind.
    """

    folder: Path
    application: Application
    prefix: str = "kubetasks"
    command: str = COMMAND
    kind: Path | None = None

    @classmethod
    def of(
        cls,
        name: str,
        folder: str | os.PathLike[str],
        *,
        port: int = 8080,
        health: str = "/",
        pod_key: str = "",
        node_key: str = "",
        context: str = ".",
        dockerfile: str = "Dockerfile",
        target: str = "",
        args: Mapping[str, str] | None = None,
        images: Mapping[str, Mapping[str, Any]] | None = None,
        manifests: str | Literal[False] | None = MANIFESTS,
        kind: str = "",
        owner: str = "",
        prefix: str = "kubetasks",
        command: str = COMMAND,
    ) -> "Project":
        """Return the project whose application is called `name`.

        `folder` may also be a file in that folder, such as tasks.py's `__file__`. `context` (the build context), `dockerfile`,
        `manifests` and `kind` are paths in it. Manifests are generated for None or False, or if the default k8s is missing.
        `images` maps the name of each other image to its `context`, `dockerfile` (by default the one in its context), `target`
        and `args`. `owner` is the value of the label on everything created, and the field manager: by default kubetasks-NAME. For
        the other parameters see Application and Project. Raises SettingError.
        """
        path = Path(folder).resolve()
        path = path.parent if path.is_file() else path
        if len(name) > LONGEST_NAME or not DNS_LABEL.fullmatch(name):
            raise SettingError(
                f"The application's name must be at most {LONGEST_NAME} lower-case letters, digits and dashes, with no dash at"
                f" either end, not {name!r}."
            )
        if not isinstance(port, int) or not 1 <= port <= 65535:
            raise SettingError(f"The port of {name} must be a number from 1 to 65535, not {port!r}.")
        if not health.startswith("/") or any(character.isspace() for character in health):
            raise SettingError(f"The health path of {name} must begin with a slash and have no space, not {health!r}.")
        if "\0" in kind:
            raise SettingError(f"`kind` of {name} must be a path, not {kind!r}.")
        if owner and not LABEL_VALUE.fullmatch(owner):
            raise SettingError(f"The owner of {name} must be a label's value, such as kubetasks-{name}, not {owner!r}.")
        if not PREFIX.fullmatch(prefix):
            raise SettingError(f"The prefix of settings must be lower-case words joined by _, not {prefix!r}.")
        if name in (images or {}):
            raise SettingError(f"`images` must not have {name}, the application's own image.", "Remove it there")
        manifest_folder = path / manifests if manifests else None
        if manifests == "" or (manifest_folder and manifests != MANIFESTS and not manifest_folder.is_dir()):
            raise SettingError(f"There is no folder {manifests!r} of manifests in {path}.", MADE)
        application = Application(
            owner=Owner(owner or f"kubetasks-{name}"),
            source=_source(path, name, context, dockerfile, target, args),
            more=tuple(_source(path, other, **given) for other, given in (images or {}).items()),
            manifests=manifest_folder if manifest_folder and manifest_folder.is_dir() else None,
            port=port,
            health=health,
            pod_key=pod_key,
            node_key=node_key,
        )
        return cls(path, application, prefix, command, path / kind if kind else None)

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "Project":
        """Return the project that the table in `folder` describes; a file in it will do, such as tasks.py's `__file__`.

        The table is [tool.kubetasks] in pyproject.toml, or the same keys under kubetasks: in invoke.yaml. Raises SettingError.
        """
        path = Path(folder).resolve()
        path = path.parent if path.is_file() else path
        described = table.read(path)
        if not described:
            raise SettingError(f"There is no [tool.kubetasks] in pyproject.toml in {path}.", "kubetasks init writes a table")
        return cls.of(folder=path, **described)

    @property
    def state(self) -> Path:
        """The folder with the files of its clusters."""
        return self.folder / STATE_FOLDER

    def variable(self, section: str, name: str) -> str:
        """Return the environment variable of a setting."""
        return "_".join(filter(None, ("INVOKE", self.prefix, section, name))).upper()

    @property
    def words(self) -> Words:
        """The words that its messages use."""
        manifests, prefix = self.application.manifests, f"INVOKE_{self.prefix}".upper().rstrip("_")
        docs = "docs" if self.folder == PACKAGE.parent else str(pages())
        if manifests is None:
            deployment = "the manifests that kubetasks init writes"
            return Words(self.command, prefix, docs, deployment, "the Dockerfile, or the port or health path of the application")
        # in other projects the file may have another name
        deployment = f"the deployment in {manifests.name}/" if self.prefix else f"{MANIFESTS}/deployment.yaml"
        return Words(self.command, prefix, docs, deployment, deployment)
