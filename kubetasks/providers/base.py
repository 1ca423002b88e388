"""The interface of a cluster: what every provider does, and the facts in which clusters differ."""

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

    `mapped_port` is (node port, port of 127.0.0.1) if one is mapped. `subnet` is the network of its nodes in CIDR form if we
    give load balancer addresses from it. `load_balancer`: whether a service will get an address, so that waiting for it makes
    sense. `node_ports`: whether this machine reaches node ports at the nodes' own addresses. `since` is when each of its
    nodes started (empty if that is not known). `unreachable_hint` is what a person can try if the API does not answer,
    `credentials_hint` if it refuses the kubeconfig.
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

    Under --dry, those that change something print their commands, and change nothing.
    """

    kubectl = tuple[str, ...]()  # the flags that make kubectl use this cluster, besides KUBECONFIG
    shared = False  # others use it too: a change is confirmed, and nobody knows whether this machine reaches it
    requirements = tuple[Requirement, ...]()  # what setup installs for it, its own program first
    node_port: ClassVar[int | None] = None  # mapped to this machine once the cluster is there
    tunnelled = False  # this machine reaches the load balancer's addresses through a tunnel
    builds = False  # its nodes may run a Docker engine that builds for them
    name: str  # for people
    _app: Application
    _do: Door
    _connect: Callable[[], Engine]

    @cached_property
    def _engine(self) -> Engine:
        return self._connect()

    @property
    @abstractmethod
    def kubeconfig(self) -> str:
        """The path of the kubeconfig file, whether there is a cluster or not."""

    @property
    def program(self) -> str:
        """The provider's own program, which its equivalent commands call, or ""."""
        return ""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that make that program and kubectl use this cluster."""
        return {"KUBECONFIG": self.kubeconfig}

    @property
    def gives_addresses(self) -> bool:
        """Whether we install a load balancer, which gives addresses from the network of its nodes."""
        return False

    def service_command(self, kubectl: Sequence[str]) -> list[str]:
        """The command that shows where the service answers; `kubectl` are the flags of kubectl."""
        return ["kubectl", *kubectl, "get", "service", self._app.name]

    @abstractmethod
    def phase(self) -> Phase:
        """Whether the cluster is there and runs."""

    @abstractmethod
    def cluster(self) -> Cluster:
        """The running cluster. Raises ClusterError if it does not run."""

    def delivered(self, image: Image) -> Delivered:
        """How pods name the image once it is delivered, as far as that is known before."""
        return Delivered(image.reference, pulled=False)

    @abstractmethod
    def deliver(self, image: Image) -> Delivered:
        """Make the image available to the nodes, if they do not have it, and say how pods name it."""

    def supply(self, references: Sequence[str]) -> None:  # noqa: B027  an existing cluster pulls its own
        """Give the nodes other images that this machine's engine has, if the cluster is ours."""

    @abstractmethod
    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:
        """Remove the application's images from the nodes, except those that `used` returns; return their names."""

    def tunnel(self) -> None:  # noqa: B027  most need none
        """Keep a tunnel open until Ctrl-C. Raises SetupError, ClusterError."""

    def docker_env(self, unset: bool) -> str | None:  # noqa: ARG002
        """The lines that point a shell's docker at the node's engine, or back; None if it has none, "" under --dry.

        Raises ClusterError.
        """
        return None
