"""The interface of a cluster: what every provider does, what only some do, and the facts in which clusters differ."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from kubetasks.engine.image import Delivered, Image
from kubetasks.setup.requirements import Requirement

if TYPE_CHECKING:
    from kubetasks.engine.client import Engine

# incomplete: its creation or deletion was interrupted
Phase = Literal["missing", "incomplete", "stopped", "running"]


@dataclass(frozen=True)
class RegistryAddress:
    """The addresses (host:port) of a cluster's own registry: `outside` for this machine, `inside` for nodes and pods."""

    outside: str
    inside: str


@dataclass(frozen=True)
class Cluster:
    """The facts about a running cluster.

    `mapped_port` is (node port, port of 127.0.0.1) if one is mapped. `subnet` is the network of its nodes in CIDR form if we
    give load balancer addresses from it. `load_balancer`: whether a service will get an address, so that waiting for it makes
    sense. `node_ports`: whether this machine reaches node ports at the nodes' own addresses. `reachable`: whether one of the
    addresses must answer from this machine. `registry` is the cluster's own one, if it has one. `since` is when each of its
    nodes started (empty if that is not known). `unreachable_hint` is what a person can try if the API does not answer,
    `credentials_hint` if it refuses the kubeconfig. `bypass_proxy`: the API server is on this machine, where no proxy reaches it.
    """

    kubeconfig: str
    context: str
    mapped_port: tuple[int, int] | None
    subnet: str
    load_balancer: bool
    node_ports: bool
    reachable: bool
    bypass_proxy: bool
    registry: RegistryAddress | None
    since: Mapping[str, datetime]
    unreachable_hint: str
    credentials_hint: str


class Provider(Protocol):
    """A cluster to run on. Methods raise ClusterError, OwnershipError, and EngineError if they need the engine."""

    @property
    def name(self) -> str:
        """The cluster's name for people."""

    @property
    def kubeconfig(self) -> str:
        """The path of the kubeconfig file, whether there is a cluster or not."""

    @property
    def kubectl(self) -> tuple[str, ...]:
        """The flags that make kubectl use this cluster, besides KUBECONFIG."""

    @property
    def shared(self) -> bool:
        """Whether others use the cluster too: it is named, and a change is confirmed."""

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What setup installs for it."""

    @property
    def node_port(self) -> int | None:
        """The node port that this machine maps once the cluster is there."""

    @property
    def program(self) -> str:
        """The provider's own program, which its equivalent commands call, or ""."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that make that program and kubectl use this cluster."""

    def service_line(self, kubectl: Sequence[str]) -> str:
        """The equivalent command that shows where the service answers; `kubectl` are the flags of kubectl."""

    def phase(self) -> Phase:
        """Whether the cluster is there and runs."""

    def cluster(self) -> Cluster:
        """The running cluster. Raises ClusterError if it does not run."""

    def deliver_lines(self, image: Image) -> Sequence[str]:
        """The equivalent commands of `deliver`."""

    def delivered(self, image: Image) -> Delivered:
        """How pods name the image once it is delivered, as far as that is known before."""

    def deliver(self, image: Image) -> Delivered:
        """Make the image available to the nodes, if they do not have it, and say how pods name it."""

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:
        """Remove the application's images from the nodes, except those that `used` returns; return their names."""


@runtime_checkable
class Lifecycle(Protocol):
    """What only the provider of a cluster of our own does."""

    @property
    def network(self) -> str:
        """The Docker network from which we give services of a new cluster addresses, or ""."""

    def registry(self) -> tuple[str, int] | None:
        """The container of a new cluster's registry and its port there, or None."""

    def start_lines(self) -> Sequence[str]:
        """The equivalent commands of `start`, none if the cluster runs."""

    def start(self) -> tuple[Cluster, bool]:
        """Create or start the cluster if necessary; True if it was. It may still be coming up."""

    def preload(self, image: Image, abandoned: Callable[[], bool]) -> None:
        """Deliver the image to nodes that are still being created, as far as that is possible: `start` runs meanwhile.

        Give up once `abandoned` returns True.
        """

    def stop_lines(self) -> Sequence[str]:
        """The equivalent commands of `stop`."""

    def stop(self) -> bool:
        """Stop the cluster and keep what is in it; False if it did not run."""

    def delete_lines(self) -> Sequence[str]:
        """The equivalent commands of `delete`."""

    def delete(self) -> bool:
        """Delete the cluster and everything created for it; False if there was none."""


class OpenTunnel(Protocol):
    """A tunnel that is open."""

    def problem(self) -> str:
        """What it says has gone wrong, or ""."""

    def wait(self) -> None:
        """Wait until it ends by itself. Raises ClusterError then."""


@runtime_checkable
class Tunnels(Protocol):
    """Implemented if the load balancer's addresses need an open tunnel."""

    @property
    def tunnel_line(self) -> str:
        """The equivalent command."""

    def tunnel(self) -> AbstractContextManager[OpenTunnel]:
        """Open a tunnel until the end of the block. Raises SetupError or ClusterError before, LeftoverError after it."""


@runtime_checkable
class NodeEngine(Protocol):
    """Implemented if nodes may run a Docker engine that builds for them."""

    def node_engine(self) -> "Engine | None":
        """The node's engine, if the cluster runs and has one. Raises EngineError."""

    def building(self) -> AbstractContextManager[None]:
        """Ready the node's engine for a build until the end of the block: it has what the image is built on."""

    def docker_env(self, unset: bool) -> str | None:
        """The lines that point a shell's docker at the node's engine, or back; None if it has none. Raises ClusterError."""
