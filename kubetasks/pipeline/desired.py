"""What a task wants the cluster to have: pure functions to whole objects and to the equivalent commands."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kubetasks.engine.image import Delivered, Image
from kubetasks.kube import manifests
from kubetasks.kube.client import Object
from kubetasks.kube.manifests import Edit
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
    made = []
    for name, item, edits in _manifests(app, wanted, there):
        item = manifests.edited(item, edits)
        if name == manifests.DEPLOYMENT and there.delivered:
            item = manifests.with_image(item, app, there.delivered.reference)
        made.append(manifests.owned(item, app.owner, there.namespace))
    return made


def _manifests(app: Application, wanted: Desired, there: Place) -> Iterator[tuple[str, Object, list[Edit]]]:
    """The name of each manifest that is wanted, its object, and what is changed in it beside the image."""
    if there.delivered:
        if budget := manifests.read_one(app, manifests.BUDGET):
            yield manifests.BUDGET, budget, []
        if found := manifests.read_one(app, manifests.DEPLOYMENT):
            yield manifests.DEPLOYMENT, found, manifests.deployment_edits(found, app, there.delivered.pull_policy)
    if wanted.exposed and (found := manifests.read_one(app, manifests.SERVICE)):
        yield manifests.SERVICE, found, manifests.service_edits(found, app, there.node_port)


def lines(app: Application, wanted: Desired, there: Place, kubectl: Sequence[str]) -> list[str]:
    """The equivalent commands."""
    told: list[str] = []
    for name, item, edits in _manifests(app, wanted, there):
        image = ""
        if name == manifests.DEPLOYMENT and there.delivered:
            container = item["spec"]["template"]["spec"]["containers"][manifests.container_index(item, app)]
            image = f"{container['name']}={there.delivered.reference}"
        told.append(equivalents.apply(app, kubectl, name, *edits, image=image, made=manifests.text(app, item)))
        if image:
            told.append(equivalents.rollout_status(app, kubectl))
    if wanted.replicas is not None:
        told += equivalents.scale(app, kubectl, wanted.replicas)
    return told
