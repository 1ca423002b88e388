"""A cluster that is there already: used through an explicit context, never made, stopped or deleted."""

from kubetasks.errors import ImageError
from kubetasks.image import Image
from kubetasks.kube import client
from kubetasks.providers.base import Cluster, Condition
from kubetasks.settings import APP, Settings


class Existing:
    """The cluster of the context in the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def condition(self) -> Condition:
        return "running"

    def ensure(self) -> tuple[Cluster, bool]:
        return self.cluster(), False

    def cluster(self) -> Cluster:
        return Cluster(self._settings.context, self._settings.context, self._settings.kubeconfig)

    def deliver(self, image: Image) -> bool:
        if image.reference not in self.delivered():
            raise ImageError(
                f"The nodes of {self._settings.context} do not have {image.reference}, and only their owner can bring it.",
                f"docker save {image.reference}, then load it on each node",
            )
        return False

    def delivered(self) -> list[str]:
        kube = client.connect(self._settings.kubeconfig, self._settings.context)
        names = {
            name.removeprefix("docker.io/library/")
            for node in kube.list("Node")
            for image in node["status"].get("images", [])
            for name in image.get("names") or []
        }
        return sorted(name for name in names if name.startswith(f"{APP}:"))

    def withdraw(self, keep: set[str]) -> list[str]:  # noqa: ARG002  its images are its owner's
        return []

    def stop(self) -> bool:
        raise NotImplementedError("Session.require_our_cluster comes first")

    def delete(self) -> bool:
        raise NotImplementedError("Session.require_our_cluster comes first")
