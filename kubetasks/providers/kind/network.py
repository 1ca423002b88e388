"""The cluster's own Docker network. It carries our label, which kind cannot put on its containers: so it says what is ours."""

from collections.abc import Mapping
from typing import Any

from kubetasks.engine.client import Engine
from kubetasks.errors import LeftoverError
from kubetasks.project.labels import Owner
from kubetasks.project.words import INV
from kubetasks.providers.own import foreign
from kubetasks.terminal.door import Door, pairs

MTU = "com.docker.network.driver.mtu"


class Network:
    """The network of the cluster `name`; both have the same name."""

    def __init__(self, do: Door, engine: Engine, owner: Owner, name: str, labels: Mapping[str, str]) -> None:
        self._do = do
        self._engine = engine
        self._owner = owner
        self._name = name
        self._labels = labels
        self._would_be_gone = False  # by now, under --dry

    def create(self) -> None:
        """Create the network unless it is there. Raises OwnershipError if it is not ours."""
        if self.ours() and not self._would_be_gone:
            return
        options = self._options()
        words = [*pairs("--label", self._labels), *pairs("--opt", options), self._name]
        create = ["docker", "network", "create", *words]
        self._do(create, lambda _: self._engine.create_network(self._name, self._labels, options))

    def _options(self) -> dict[str, str]:
        """The options of kind's own network: with a larger MTU than the default bridge's, packets vanish behind a VPN."""
        bridge = self._engine.network("bridge") or {}
        mtu = (bridge.get("Options") or {}).get(MTU)
        return {"com.docker.network.bridge.enable_ip_masquerade": "true", **({MTU: mtu} if mtu else {})}

    def ours(self) -> bool:
        """Whether the network is there. Raises OwnershipError if it is not ours."""
        network = self._engine.network(self._name)
        if network and not self._owner.owns(network.get("Labels")):
            raise foreign(f"A Docker network {self._name}")
        return network is not None

    def subnet(self) -> str:
        """Its IPv4 network in CIDR form, or ""."""
        network: dict[str, Any] = self._engine.network(self._name) or {}
        subnets = [part["Subnet"] for part in (network.get("IPAM") or {}).get("Config") or []]
        return next((subnet for subnet in subnets if ":" not in subnet), "")

    def recorded(self, name: str) -> str:
        """The value of its label of that name, or ""."""
        labels: dict[str, str] = (self._engine.network(self._name) or {}).get("Labels") or {}
        return labels.get(self._owner.key(name), "")

    def labelled(self) -> bool:
        """Whether the network is there and ours."""
        return self._owner.owns((self._engine.network(self._name) or {}).get("Labels"))

    def _connected(self) -> list[str]:
        """The names of the containers that run on it."""
        containers = (self._engine.network(self._name) or {}).get("Containers") or {}
        return sorted(container["Name"] for container in containers.values())

    def remove(self) -> None:
        """Remove the network if it is there and ours. Raises LeftoverError if somebody else's containers are on it."""
        if not self.labelled():
            return
        if others := self._do.unless_dry(self._connected):
            names = ", ".join(others)
            raise LeftoverError(
                f"Docker network {self._name} is left, with containers that these tasks did not create: {names}.",
                "; ".join([*(f"docker network disconnect --force {self._name} {name}" for name in others), f"{INV} delete"]),
            )
        remove = ["docker", "network", "rm", self._name]
        self._would_be_gone = not self._do.did(remove, lambda: self._engine.remove_network(self._name))
