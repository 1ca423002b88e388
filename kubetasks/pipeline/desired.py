"""What a task wants the cluster to have: pure functions to whole objects and to the equivalent commands."""

from collections.abc import Sequence
from dataclasses import dataclass

from kubetasks.engine.image import Delivered, Image
from kubetasks.kube import manifests
from kubetasks.kube.client import Object
from kubetasks.project.application import Application
from kubetasks.terminal import equivalents


@dataclass(frozen=True)
class Desired:
    """A deployment that runs the image, a service, so many pods; whatever is left out stays as it is."""

    image: Image | None = None
    exposed: bool = False
    replicas: int | None = None

    @property
    def rolls_out(self) -> bool:
        """Whether pods may come or go."""
        return self.image is not None or self.replicas is not None

    def text(self, changed: bool) -> str:
        """What is shown until the rollout is complete."""
        if self.image:
            return f"Rolling out {self.image.reference}" if changed else f"{self.image.reference} is deployed"
        return f"Scaling to {self.replicas}" if changed else f"Already scaled to {self.replicas}"


@dataclass(frozen=True)
class Place:
    """Where it is wanted: the namespace, how pods name the image, and the service's node port, if it asks for one."""

    namespace: str
    delivered: Delivered | None
    node_port: int | None


def objects(app: Application, wanted: Desired, there: Place) -> list[Object]:
    """The objects to apply, in this order. Raises SettingError if a manifest does not fit."""
    made: list[Object] = []
    if there.delivered:
        made.append(manifests.owned(manifests.read_one(app, "poddisruptionbudget"), app.owner, there.namespace))
        deployment, image = manifests.read_one(app, "deployment"), there.delivered
        made.append(manifests.deployment(deployment, app, image.reference, image.pull_policy, there.namespace))
    if wanted.exposed:
        made.append(manifests.service(manifests.read_one(app, "service"), app, there.namespace, there.node_port))
    return made


def lines(app: Application, wanted: Desired, there: Place, kubectl: Sequence[str]) -> list[str]:
    """The equivalent commands."""
    told: list[str] = []
    if there.delivered:
        container = manifests.container_index(manifests.read_one(app, "deployment"), app)
        told += equivalents.deploy(app, kubectl, there.delivered.reference, container, there.delivered.pull_policy)
    if wanted.exposed:
        port = manifests.port_index(manifests.read_one(app, "service"), app)
        told.append(equivalents.expose(app, kubectl, port, there.node_port))
    if wanted.replicas is not None:
        told += equivalents.scale(app, kubectl, wanted.replicas)
    return told
