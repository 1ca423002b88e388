"""The adapter for an existing cluster: used through an explicit context, never created, stopped or deleted."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import EngineError
from kubetasks.project.words import INVOKE
from kubetasks.providers.base import Cluster, Phase, Provider
from kubetasks.terminal import shell
from kubetasks.terminal.door import At


@dataclass(eq=False)
class Existing(Provider):
    """The cluster of the context `name`. Its nodes pull the image from a registry, if one is set."""

    shared = True
    _kubeconfig: str
    _registry: str

    def __post_init__(self) -> None:
        self.kubectl = ("--context", self.name)

    @property
    def kubeconfig(self) -> str:
        return self._kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")

    def phase(self) -> Phase:
        return "running"

    def cluster(self) -> Cluster:
        return Cluster(
            kubeconfig=self.kubeconfig,
            context=self.name,
            unreachable_hint=f"kubectl config get-contexts lists the contexts; kubectl --context {self.name} version must answer",
            credentials_hint="Its credentials may have expired, or its kubeconfig is out of date: log in to the cluster again",
        )

    def deliver(self, image: Image) -> Delivered:
        if not self._registry:
            message = f"No registry is set ({INVOKE}_APP_REGISTRY): the owner of the nodes must have loaded {image.reference}."
            self._do.say(message)
            return self.delivered(image)
        name = self._pushed(image)
        commands = shell.line(["docker", "tag", image.reference, name]), shell.line(["docker", "push", name])
        digest = self._do("\n".join(commands), lambda at: self._push(image.reference, name, at), f"Pushing {name}")
        return Delivered(f"{name}@{digest}", pulled=True) if digest else self.delivered(image)

    def _pushed(self, image: Image) -> str:
        """Return the image's name in the registry."""
        return f"{self._registry}/{image.reference}"

    def _push(self, reference: str, name: str, at: At) -> str:
        """Tag an image as `name`, push it, and return its digest. If that fails, remove the tag."""
        self._engine.tag(reference, name)
        try:
            return self._engine.push(name, at)
        except BaseException:
            with suppress(EngineError):
                self._engine.remove_image(name)
            raise

    def delivered(self, image: Image) -> Delivered:
        """Return the image as `deliver` does; the digest is known only if this engine has already pushed the image."""
        if not self._registry:
            return Delivered(image.reference, pulled=False)
        name = self._pushed(image)
        digest = self._do.unless_dry(lambda: self._engine.digest(name))
        return Delivered(f"{name}@{digest}" if digest else name, pulled=True)

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:  # noqa: ARG002  what a registry keeps is its owner's
        return []
