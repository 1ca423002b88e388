"""The interface of every provider, and the facts in which running clusters differ."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Literal

from kubetasks.engine.client import Engine
from kubetasks.engine.image import Delivered, Image
from kubetasks.project.application import Application
from kubetasks.setup.requirements import Requirement
from kubetasks.terminal.door import Door

# incomplete: its creation or deletion was interrupted
Phase = Literal["missing", "incomplete", "stopped", "running"]


@dataclass(frozen=True)
class Cluster:
    """The facts about a running cluster.

    `mapped_port` is (node port, port of 127.0.0.1), or None if none is mapped. `subnet` is the nodes' network in CIDR form if
    kubetasks assigns load balancer addresses from it, otherwise "". `load_balancer`: whether a service will get an address,
    so that waiting for it makes sense. `node_ports`: whether this machine reaches node ports at the nodes' own addresses.
    `since` maps each node to the time when it started (empty if unknown). `unreachable_hint` suggests what to try if the API
    server does not answer, `credentials_hint` what to try if it rejects the kubeconfig.
    """

    kubeconfig: str
    context: str
    unreachable_hint: str
    credentials_hint: str
    mapped_port: tuple[int, int] | None = None
    subnet: str = ""
    load_balancer: bool = False
    node_ports: bool = True
    since: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(eq=False)
class Provider(ABC):
    """A cluster to run on. Methods raise ClusterError, OwnershipError, and EngineError if they need the engine.

    Under --dry, methods that change something print their equivalent commands, and change nothing.
    """

    kubectl = tuple[str, ...]()  # the flags that kubectl needs for this cluster, besides KUBECONFIG
    shared = False  # others use it too: changes are confirmed, and this machine may not reach its services
    requirements = tuple[Requirement, ...]()  # what `setup` installs, the provider's own program first
    node_port: ClassVar[int | None] = None  # the node port that is mapped to this machine
    tunnelled = False  # this machine reaches the load balancer's addresses through a tunnel
    builds = False  # its nodes may run a Docker engine that can build the images
    name: str  # of the cluster, or the context of an existing one
    _app: Application
    _do: Door
    _connect: Callable[[], Engine]

    @cached_property
    def _engine(self) -> Engine:
        return self._connect()

    @property
    @abstractmethod
    def kubeconfig(self) -> str:
        """The path of the kubeconfig file, whether or not the cluster exists."""

    @property
    def program(self) -> str:
        """The path or name of the provider's own program, which its equivalent commands call, or ""."""
        return ""

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that make `program` and kubectl use this cluster."""
        return {"KUBECONFIG": self.kubeconfig}

    @property
    def gives_addresses(self) -> bool:
        """Whether kubetasks installs a load balancer that assigns addresses from the nodes' network."""
        return False

    def service_command(self, kubectl: Sequence[str]) -> list[str]:
        """Return the command that shows the service's address; `kubectl` has kubectl's flags for the cluster and namespace."""
        return ["kubectl", *kubectl, "get", "service", self._app.name]

    @abstractmethod
    def phase(self) -> Phase:
        """Return whether the cluster exists, is complete, and is running."""

    @abstractmethod
    def cluster(self) -> Cluster:
        """Return the facts about the running cluster. Raises ClusterError if it is not running."""

    def delivered(self, image: Image) -> Delivered:
        """Return how pods will refer to the image once it is delivered; the digest may not be known yet."""
        return Delivered(image.reference, pulled=False)

    @abstractmethod
    def deliver(self, image: Image) -> Delivered:
        """Make the image available to the nodes unless they have it, and return how pods refer to it."""

    def supply(self, references: Sequence[str]) -> None:  # noqa: B027  an existing cluster pulls its own
        """Load other images that this machine's engine has into the nodes, if kubetasks created the cluster."""

    @abstractmethod
    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:
        """Remove the application's images from the nodes, except the ones that `used` returns; return the removed names."""

    def tunnel(self) -> None:  # noqa: B027  most need none
        """Keep a tunnel open until Ctrl-C. Raises SetupError, ClusterError."""

    def docker_env(self, unset: bool) -> str | None:  # noqa: ARG002
        """Return the shell commands that point docker at the node's engine, or with `unset` undo that; "" under --dry.

        Return None if the node has no engine. Raises ClusterError.
        """
        return None
