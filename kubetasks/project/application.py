"""The application that the tasks build and run: the one place that knows its name, its folders and how it answers."""

from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Application:
    """A web server with an image and manifests.

    `name` names its objects, its container and its image. `source` is the build context, with the Dockerfile in it;
    `manifests` holds one file for each object. `port` is the name of the service's port. `health` is a path that answers
    without counting; each answer is a JSON object that names its pod under `pod_key`, and that of GET / the pod's node under
    `node_key`.
    """

    name: str
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


APPLICATION = Application(
    name="simple-server",
    source=PROJECT,
    manifests=PROJECT / "k8s",
    port="http",
    health="/healthz",
    pod_key="pod",
    node_key="node",
)
