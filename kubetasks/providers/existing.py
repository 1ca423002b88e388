"""A cluster that already exists: used through an explicit context, never created, stopped or deleted."""

import os
from collections.abc import Callable
from pathlib import Path

from kubetasks.application import Application
from kubetasks.errors import ImageError
from kubetasks.image import Image
from kubetasks.kube import client
from kubetasks.providers.base import Cluster, Condition
from kubetasks.report import Report
from kubetasks.settings import Settings


class Existing:
    """The cluster of the context in the settings."""

    node_port = None

    def __init__(self, settings: Settings, app: Application, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._app = app
        self.name = settings.context
        self.kubeconfig = settings.kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        self.kubectl = ("--context", settings.context)

    def condition(self) -> Condition:
        return "running"

    def cluster(self) -> Cluster:
        return Cluster(
            kubeconfig=self.kubeconfig,
            context=self._settings.context,
            mapped_port=None,
            subnet="",
            load_balancer=False,
            node_ports=True,
            reachable=False,
            since=None,
        )

    def images(self) -> list[str]:
        kube = client.connect(self.kubeconfig, self._settings.context)
        names = {
            name.removeprefix("docker.io/library/")
            for node in kube.list("Node")
            for image in node["status"].get("images", [])
            for name in image.get("names") or []
        }
        return sorted(name for name in names if name.startswith(f"{self._app.name}:"))

    def load_image(self, image: Image) -> bool:
        if not self._report.dry and image.reference not in self.images():
            raise ImageError(
                f"The nodes of {self.name} do not have {image.reference}, and only their owner can load it.",
                f"docker save {image.reference}, then load it on each node",
            )
        return False

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:  # noqa: ARG002  the nodes' images are their owner's
        return []
