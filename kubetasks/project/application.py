"""A project, and the application that its tasks build and run."""

import re
from dataclasses import dataclass
from pathlib import Path

from kubetasks.project.labels import Owner

OUR_VARIABLE = re.compile(r"\bINVOKE_(?=(?:CLUSTER|APP|SETUP)_)")


@dataclass(frozen=True)
class Application:
    """A web server with an image and manifests.

    `name` names its objects, its container and its image; `owner` is on all of them. `source` is the build context, with the
    Dockerfile in it; `manifests` holds one file for each object. `port` is the name of the service's port. `health` is a path
    that answers without counting; each answer is a JSON object that names its pod under `pod_key`, and that of GET / the pod's
    node under `node_key`.
    """

    name: str
    owner: Owner
    source: Path
    manifests: Path
    port: str
    health: str
    pod_key: str
    node_key: str

    @property
    def selector(self) -> str:
        """The label selector of its pods."""
        return f"app.kubernetes.io/name={self.name}"

    @property
    def tutorial_tag(self) -> str:
        """The image's name in the tutorial and in the plain manifests."""
        return f"{self.name}:v1"

    @property
    def slices(self) -> str:
        """The label selector of its service's EndpointSlices."""
        return f"kubernetes.io/service-name={self.name}"


@dataclass(frozen=True)
class Project:
    """A folder with an application, whose tasks.py has our tasks.

    `state` is the folder of its clusters' files. `prefix` keeps its settings apart from the project's own: they are the section
    PREFIX of invoke.yaml and variables INVOKE_PREFIX_...; with "" they have sections and variables of their own. `command` is
    what a person types before the name of a task.
    """

    folder: Path
    application: Application
    prefix: str = "kubetasks"
    command: str = "inv"

    @property
    def state(self) -> Path:
        return self.folder / ".state"

    def variable(self, section: str, name: str) -> str:
        """The environment variable of a setting."""
        return "_".join(filter(None, ("INVOKE", self.prefix, section, name))).upper()

    def spoken(self, text: str) -> str:
        """A message, which is written for a project without a prefix and the command ./inv, as this project's person types it."""
        text = text.replace("./inv", self.command)
        return OUR_VARIABLE.sub(f"INVOKE_{self.prefix.upper()}_", text) if self.prefix else text
