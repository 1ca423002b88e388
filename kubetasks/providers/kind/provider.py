"""The adapter for kind: a cluster of containers on its own Docker network."""

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubetasks.engine import access, machine
from kubetasks.engine.client import NO_SPACE
from kubetasks.engine.image import Image, names_to_load
from kubetasks.errors import ClusterError, EngineError, ImageError, LeftoverError, ProgramError, TaskError
from kubetasks.project.settings import DEFAULTS
from kubetasks.project.words import INV, INVOKE
from kubetasks.providers import containerd
from kubetasks.providers.base import Cluster
from kubetasks.providers.kind.config import API_PORT, NODE_PORT, Config, control_plane, free_port, kubernetes_of, read
from kubetasks.providers.own import Own, foreign
from kubetasks.providers.registry import Registry
from kubetasks.setup import inventory, requirements
from kubetasks.terminal import shell, wait
from kubetasks.terminal.door import At, nowhere, pairs

if TYPE_CHECKING:
    from kubetasks.engine.client import Container

PRELOAD_SECONDS = 20.0  # until containerd runs on a new node
MTU = "com.docker.network.driver.mtu"
PORT_TAKEN = ("address already in use", "port is already allocated")  # in Docker's error messages


@dataclass(eq=False)
class Kind(Own):
    """The cluster's network carries the owner's label: kind cannot label its containers."""

    requirements = (requirements.KIND, requirements.KIND_NODE_IMAGE, requirements.LOAD_BALANCER, requirements.REGISTRY)
    mark = "/kind/simple-server-tasks-created"
    node_port = NODE_PORT
    _port: int  # the wanted port of 127.0.0.1
    _file: Path | None = None  # the user's kind configuration
    _network_would_be_gone: bool = field(default=False, init=False)  # under --dry: it would be removed by now

    @cached_property
    def _registry(self) -> Registry:
        image = partial(self._find, requirements.REGISTRY, self._engine)
        return Registry(self._do, self._engine, self._app.owner, self.name, image)

    @cached_property
    def _theirs(self) -> dict[str, Any]:
        return read(self._file)

    @property
    def _size(self) -> int:
        asked = super()._size
        return asked if asked > 1 else len(self._theirs.get("nodes") or ()) or 1  # 1 is the default

    def config(self) -> Config:
        """Return the configuration of a new cluster, with a mapped port that is free now."""
        node, timeout = self._find(requirements.KIND_NODE_IMAGE, self._engine), self._wanted.timeout
        port, given = free_port(self._port), (self._theirs, self._file)
        return Config(self.name, node.reference, port, self.kubeconfig, self._size, timeout, *given)

    def check(self) -> None:
        _ = self.config().text

    @property
    def config_file(self) -> Path:
        """The configuration file that kind was given; the clone that has it created the cluster."""
        return self.folder / "kind.yaml"

    # current state

    def _nodes(self) -> "list[Container]":
        nodes = self._engine.containers(f"io.x-k8s.kind.cluster={self.name}")
        ours = [node for node in nodes if str(node.name).startswith(f"{self.name}-")]
        return sorted(ours, key=lambda node: (node.name != control_plane(self.name), node.name))

    def _require_ours(self, nodes: "list[Container]") -> None:
        """Raise OwnershipError unless these tasks created the nodes. Without the network, `config_file` or the mark shows it."""
        if any(self.name not in node.attrs["NetworkSettings"]["Networks"] for node in nodes):
            raise foreign(f"A kind cluster {self.name}")
        if not (self._has_network() or self.config_file.exists() or super()._complete(nodes)):
            raise foreign(f"A kind cluster {self.name}", "nothing says that these tasks created it")

    def _mark_labels(self) -> dict[str, str] | None:
        network = self._engine.network(self.name)
        return dict(network.get("Labels") or {}) if network else None

    def _complete(self, nodes: "list[Container]") -> bool:
        return nodes[0].name == control_plane(self.name) and (self._has_kubeconfig(nodes) or super()._complete(nodes))

    def _has_kubeconfig(self, nodes: "list[Container]") -> bool:
        """Whether the kubeconfig file belongs to these nodes, and is complete: kind writes it last."""
        port = nodes[0].attrs["HostConfig"]["PortBindings"][f"{API_PORT}/tcp"][0]["HostPort"]
        try:
            text = Path(self.kubeconfig).read_bytes()
        except OSError:
            return False
        return f":{port}\n".encode() in text and re.search(rb"client-key-data: \S+\n$", text) is not None

    @property
    def gives_addresses(self) -> bool:
        return machine.reaches_containers(self._engine.info)

    def _facts(self, nodes: "list[Container]") -> Cluster:
        if not self._has_kubeconfig(nodes):  # another clone created the cluster
            self._do.unless_dry(self._reset_kubeconfig)
            self._kind("export", "kubeconfig", "--name", self.name, "--kubeconfig", self.kubeconfig)
        mapped = _mapped_port(nodes[0])
        subnet = self._subnet() if self.gives_addresses else ""
        return replace(
            super()._facts(nodes),
            context=f"kind-{self.name}",
            mapped_port=(NODE_PORT, mapped) if mapped else None,
            subnet=subnet,
            load_balancer=bool(subnet),
            node_ports=False,
        )

    def _reset_kubeconfig(self) -> None:
        """Create the folder, and remove an old kubeconfig: kind would merge into the file, and fails if it is damaged."""
        self._make_folder()
        Path(self.kubeconfig).unlink(missing_ok=True)

    def _differences(self, nodes: "list[Container]") -> Mapping[str, tuple[str, str]]:
        kubernetes = kubernetes_of(str(nodes[0].attrs["Config"]["Image"])) or self._wanted.kubernetes
        asked, mapped = self._port, _mapped_port(nodes[0])
        size = len(nodes) if self._file and self._wanted.nodes == 1 else self._wanted.nodes  # only a new cluster reads the file
        port = mapped if mapped and asked != int(DEFAULTS["cluster"]["port"]) else asked  # the default port may have been taken
        return {
            f"{INVOKE}_CLUSTER_NODES": (str(size), str(len(nodes))),
            f"{INVOKE}_CLUSTER_KUBERNETES": (self._wanted.kubernetes, kubernetes),
            f"{INVOKE}_CLUSTER_PORT": (str(asked), str(port)),
        }

    def _parts(self) -> list[str]:
        return [f"container {node.name}" for node in self._nodes()]

    def _existing_parts(self) -> list[str]:
        return [*self._parts(), *([f"network {self.name}"] if self._is_ours() else [])]

    # lifecycle

    def _require_equipped(self) -> None:
        image, minor = self._find(requirements.KIND_NODE_IMAGE, self._engine), self._wanted.kubernetes
        if not image.present:
            raise ClusterError(
                f"The image of kind's nodes for Kubernetes {minor} is missing: {image.reference}.",
                f"{INVOKE}_CLUSTER_KUBERNETES={minor} {INV} setup",
            )
        self._require_program()
        cli = inventory.docker()
        if not cli.present:
            raise ClusterError("kind needs the docker CLI, which is not installed.", cli.remedy)

    def _require_free(self) -> None:
        if self._nodes() and not self.config_file.exists():  # its creation may lack only the mark
            raise ClusterError(
                f"Cluster {self.name} is not complete: another clone creates or deletes it, or was interrupted.",
                f"{INV} delete start creates it again",
            )
        self._registry.require_free()
        self._has_network()

    def _create(self, at: At) -> list[str]:
        config = self.config()
        if config.port != self._port:
            self._do.say(f"Port {self._port} of 127.0.0.1 is taken: the cluster gets {config.port}.")
        self.prepare(config)
        words = config.words()
        command = f"{shell.line(['kind', *words], config.environment())} <<'EOF'\n{config.text}EOF"
        self._do(command, lambda _: self._run_kind(words, config, at))
        return config.nodes

    def _run_kind(self, words: Sequence[str], config: Config, at: At) -> None:
        """Run `kind create cluster`; keep its log only if it fails."""
        log = self._cache / "logs" / f"kind-{self.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("")
        environment = access.environment() | config.environment()
        try:
            with self.config_file.open("rb") as text:
                shell.run(
                    [self.program, *words], env=environment, log=log, on_line=lambda line: at(line.strip(" •✓")), stdin=text
                )
        except ProgramError:
            raise
        except BaseException:
            log.unlink()
            raise
        log.unlink(missing_ok=True)

    def prepare(self, config: Config) -> None:
        """Create what must exist before kind is run: network, registry, configuration file. Raises OwnershipError."""
        self._create_network()
        self._registry.serve()
        self._do.unless_dry(lambda: self._write(config))

    def _write(self, config: Config) -> None:
        self._reset_kubeconfig()  # a deleted cluster may have left one
        self.config_file.write_text(config.text)

    def _resume(self) -> None:
        nodes = self._nodes()
        names = [str(node.name) for node in nodes]
        if not self._has_network():
            raise ClusterError(f"Docker network {self.name} of the cluster is gone.", f"{INV} delete start creates both again")
        try:
            self._do(["docker", "start", *names], lambda _: self._start(nodes), f"Starting cluster {self.name}")
        except EngineError as error:
            if any(words in error.sentence for words in PORT_TAKEN):
                raise ClusterError(
                    f"A port of cluster {self.name} is taken by another program: {error.sentence}",
                    f"End that program and run {INV} start again, or {INV} delete start for a new cluster on a free port",
                ) from error
            raise

    def _start(self, nodes: "list[Container]") -> None:
        for node in nodes:
            self._engine.start(node)

    def _restore(self) -> None:
        try:
            if not self._registry.address():
                self._registry.serve()
        except TaskError as error:
            self._do.say(error.sentence)

    def _halt(self) -> None:
        nodes = self._nodes()
        names = [*(str(node.name) for node in nodes), *([self._registry.name] if self._registry.address() else [])]
        self._do(["docker", "stop", *names], lambda at: self._stop(nodes, at), f"Stopping cluster {self.name}")

    def _stop(self, nodes: "list[Container]", at: At) -> None:
        for node in nodes:
            at(str(node.name))
            containerd.end(self._engine, node)
            self._engine.stop(node)
        self._registry.stop()

    def _remove(self) -> None:
        # an intact kubeconfig would mark the cluster as complete, and kind fails with a damaged one
        self._do.unless_dry(lambda: Path(self.kubeconfig).unlink(missing_ok=True))
        super()._remove()

    def _destroy(self, timeout: float) -> None:
        if self._nodes():
            self._kind("delete", "cluster", "--name", self.name, "--kubeconfig", self.kubeconfig, timeout=timeout)

    def _remove_rest(self) -> None:
        self._registry.remove()
        self._remove_network()

    def _kind(self, *words: str, timeout: float = 0) -> None:
        argv = [self.program, *words]
        self._do(["kind", *words], lambda _: shell.run(argv, env=access.environment(), timeout=timeout))

    # the network, which carries the owner's label

    def _has_network(self) -> bool:
        """Whether the cluster's network exists. Raises OwnershipError if it lacks the owner's label."""
        labels = self._mark_labels()
        if labels is not None and not self._app.owner.owns(labels):
            raise foreign(f"A Docker network {self.name}")
        return labels is not None

    def _create_network(self) -> None:
        if self._has_network() and not self._network_would_be_gone:
            return
        # the options that kind would set: with a larger MTU than the default bridge's, packets are lost behind a VPN
        mtu = ((self._engine.network("bridge") or {}).get("Options") or {}).get(MTU)
        options = {"com.docker.network.bridge.enable_ip_masquerade": "true", **({MTU: mtu} if mtu else {})}
        labels = self._wanted.labels
        create = ["docker", "network", "create", *pairs("--label", labels), *pairs("--opt", options), self.name]
        self._do(create, lambda _: self._engine.create_network(self.name, labels, options))

    def _subnet(self) -> str:
        """Return the network's IPv4 subnet in CIDR form, or ""."""
        network: dict[str, Any] = self._engine.network(self.name) or {}
        subnets = [part["Subnet"] for part in (network.get("IPAM") or {}).get("Config") or []]
        return next((subnet for subnet in subnets if ":" not in subnet), "")

    def _attached_containers(self) -> list[str]:
        """Return the names of the running containers on the network."""
        containers = (self._engine.network(self.name) or {}).get("Containers") or {}
        return sorted(container["Name"] for container in containers.values())

    def _remove_network(self) -> None:
        """Remove the network if it has the owner's label. Raises LeftoverError if other containers are still on it."""
        if not self._is_ours():
            return
        if others := self._do.unless_dry(self._attached_containers):
            raise LeftoverError(
                f"Docker network {self.name} is left, with containers that these tasks did not create: {', '.join(others)}.",
                "; ".join([*(f"docker network disconnect --force {self.name} {name}" for name in others), f"{INV} delete"]),
            )
        remove = ["docker", "network", "rm", self.name]
        self._network_would_be_gone = not self._do.did(remove, lambda: self._engine.remove_network(self.name))

    # images

    def _pull(self, names: Sequence[str], nodes: "Sequence[Container]") -> bool:
        if not nodes:  # under --dry
            return False
        self._restore()
        if not self._registry.address():
            if not self._registry.available():
                self._do.say(f"The registry image is missing, so the nodes load the whole image. {INV} setup installs it.")
            return False
        try:
            with self._do.step(f"Delivering {names[0]} through the registry of cluster {self.name}") as at:
                self._registry.push(names[0], at)
                at("pulling")
                self._registry.pull(names, nodes)
        except (EngineError, ImageError) as error:  # behind a proxy, a node may not reach the registry
            self._do.say(error.sentence)
            return False
        return True

    def _load(self, names: Sequence[str], text: str) -> None:
        """Load an image from an archive: by name, kind requests all platforms from an engine with the containerd image store."""
        file = Path(tempfile.gettempdir()) / "image.tar"
        load = ["load", "image-archive", "--name", self.name]
        command = self._loading(names, str(file), shell.line(["kind", *load, str(file)]))
        self._do(command, lambda _: self._load_file(names, load), text)

    def _load_file(self, names: Sequence[str], load: Sequence[str]) -> None:
        try:
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "image.tar"
                self._engine.save(names, file)
                shell.run([self.program, *load, str(file)], env=access.environment())
        except ProgramError as error:
            reason = next((line.strip() for line in error.output.splitlines() if NO_SPACE in line), "")
            if not reason:
                raise
            raise ClusterError(
                f"There is no space for the image on a node of cluster {self.name}: {reason}",
                f"docker exec {control_plane(self.name)} df --human-readable; docker system df shows what could be removed",
            ) from error

    def preload(self, image: Image, abandoned: Callable[[], bool]) -> None:
        if not self._registry.available():
            return
        names = names_to_load(self._engine, image)
        if self._becomes_true(self._registry.listens, abandoned):
            self._registry.push(names[0], nowhere)
            if self._becomes_true(lambda: len(self._nodes()) == self._size, abandoned):
                self._registry.pull(names, self._nodes(), PRELOAD_SECONDS, abandoned)

    def _becomes_true(self, check: Callable[[], bool], abandoned: Callable[[], bool]) -> bool:
        """Wait up to PRELOAD_SECONDS until `check` returns True. Return False if it does not, or if `abandoned` does."""
        ended = wait.until(lambda: wait.Done() if abandoned() or check() else wait.Pending("not yet"), timeout=PRELOAD_SECONDS)
        return isinstance(ended, wait.Done) and not abandoned()


def _mapped_port(node: "Container") -> int | None:
    """Return the port of 127.0.0.1 that is mapped to NODE_PORT, or None."""
    bindings = node.attrs["HostConfig"]["PortBindings"].get(f"{NODE_PORT}/tcp")
    return int(bindings[0]["HostPort"]) if bindings else None
