"""What every kind of cluster can do for us."""

from dataclasses import dataclass
from typing import Literal, Protocol

from kubetasks.image import Image

Condition = Literal["missing", "stopped", "running"]


@dataclass(frozen=True)
class Cluster:
    """A cluster that can be spoken to.

    `mapped_port` is (node port, port of 127.0.0.1) where one was mapped; `subnet` is the network of its nodes in CIDR
    form, where it is ours to give addresses from.
    """

    name: str
    context: str
    kubeconfig: str
    mapped_port: tuple[int, int] | None = None
    subnet: str = ""


class Provider(Protocol):
    """A cluster to run on. Methods raise ClusterError and OwnershipError."""

    def condition(self) -> Condition:
        """Whether it is there and runs."""

    def ensure(self) -> tuple[Cluster, bool]:
        """Make it or start it where needed; True where that was so. It may still be coming up."""

    def cluster(self) -> Cluster:
        """The running cluster."""

    def deliver(self, image: Image) -> bool:
        """Put the image on the nodes; False where they have it."""

    def delivered(self) -> list[str]:
        """The application's images on the nodes."""

    def withdraw(self, keep: set[str]) -> list[str]:
        """Take the application's images off the nodes, but for those in `keep`; returns their names."""

    def stop(self) -> bool:
        """Stop it, keeping what is in it; False where it did not run."""

    def delete(self) -> bool:
        """Remove it with all that was made for it; False where there was none."""
