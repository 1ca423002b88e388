"""The adapter for kind: a cluster of containers on a Docker network of its own."""

import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kubetasks.engine import access
from kubetasks.engine.client import Engine
from kubetasks.engine.image import Delivered, Image, names_to_load
from kubetasks.errors import ClusterError, EngineError, LeftoverError, OwnershipError, ProgramError, TaskError
from kubetasks.project.settings import DEFAULTS, Settings
from kubetasks.project.versions import KIND
from kubetasks.providers import containerd, programs, registry
from kubetasks.providers.base import DELETION_SECONDS, Cluster, Condition
from kubetasks.providers.differences import say_differences
from kubetasks.providers.kind.config import API_PORT, NODE_PORT, Config, control_plane, free_port, kubernetes_of
from kubetasks.providers.kind.network import Network
from kubetasks.providers.registry import Registry
from kubetasks.setup import artifacts, needs
from kubetasks.setup.needs import Need
from kubetasks.terminal import equivalents, interruption, locking, shell, wait
from kubetasks.terminal.report import Report

if TYPE_CHECKING:
    from kubetasks.engine.client import Container

CREATED = "/kind/simple-server-tasks-created"  # a file on the node, written last: its creation was not interrupted
STAGE_SECONDS = 20.0  # in which the containerd of a new node runs
SETTLE_SECONDS = 2.0  # in which an engine completes a request whose sender is gone
DEFAULT_PORT = int(DEFAULTS["cluster"]["port"])
IN_PROGRESS = "is already in progress"  # the engine's words for a second removal
NO_SPACE = "no space left on device"
PORT_TAKEN = ("address already in use", "port is already allocated")  # Docker's words


class PortTakenError(ClusterError):
    """Another program has the port that the cluster was to be mapped to."""


def port_taken(output: str, port: int) -> bool:
    """Whether the engine says that another program has that port of 127.0.0.1."""
    return f"127.0.0.1:{port}" in output and any(words in output for words in PORT_TAKEN)


class Kind:
    """The cluster named in the settings."""

    needs: tuple[Need, ...] = (needs.KIND, needs.KIND_NODE_IMAGE, needs.LOAD_BALANCER, needs.REGISTRY)
    node_port = NODE_PORT
    kubectl: tuple[str, ...] = ()
    shared = False

    def __init__(self, settings: Settings, report: Report, connect: Callable[[], Engine]) -> None:
        self.name = self.network = settings.cluster
        self.kubeconfig = str(settings.state_folder / "kubeconfig")
        self._settings = settings
        self._app = settings.app
        self._report = report
        self._connect = connect

    @property
    def environment(self) -> Mapping[str, str]:
        return {"KUBECONFIG": self.kubeconfig}

    @cached_property
    def _engine(self) -> Engine:
        return self._connect()

    @cached_property
    def _network(self) -> Network:
        return Network(self._engine, self._report, self._app.owner, self.name)

    @cached_property
    def _registry(self) -> Registry:
        return Registry(self._engine, self._report, self._settings, self.name)

    def registry(self) -> tuple[str, int] | None:
        return (self._registry.name, registry.PORT) if self._registry.available() else None

    def config(self) -> Config:
        """What a new cluster would be created with, on a port that is free now."""
        node = artifacts.node_image(self._engine, self._settings)
        return Config(self.name, node.reference, free_port(self._settings.port), self.kubeconfig, self._settings.nodes)

    def condition(self) -> Condition:
        return self._condition(self._nodes())

    def _condition(self, nodes: "list[Container]") -> Condition:
        if not nodes:
            return "missing"
        self._require_ours(nodes)
        if not all(node.status == "running" for node in nodes):
            return "stopped"
        if nodes[0].name != control_plane(self.name):
            return "incomplete"
        return "running" if self._has_kubeconfig(nodes) or self._complete(nodes) else "incomplete"

    def cluster(self) -> Cluster:
        nodes = self._nodes()
        condition = self._condition(nodes)
        if condition == "incomplete":
            raise ClusterError(
                f"The creation or deletion of cluster {self.name} was interrupted.", "./inv start creates it again"
            )
        if condition != "running":
            raise ClusterError(f"Cluster {self.name} is {condition}.", "./inv start")
        if not self._has_kubeconfig(nodes):  # another clone created the cluster
            Path(self.kubeconfig).parent.mkdir(parents=True, exist_ok=True)
            Path(self.kubeconfig).unlink(missing_ok=True)  # kind would add to it, which it cannot if it is damaged
            self._kind("export", "kubeconfig", "--name", self.name, "--kubeconfig", self.kubeconfig)
        mapped = _mapped_port(nodes[0])
        return Cluster(
            kubeconfig=self.kubeconfig,
            context=f"kind-{self.name}",
            mapped_port=(NODE_PORT, mapped) if mapped else None,
            subnet=self._network.subnet(),
            load_balancer=True,
            node_ports=False,
            reachable=True,
            direct=True,
            registry=self._registry.address(),
            since={str(node.name): datetime.fromisoformat(node.attrs["State"]["StartedAt"]) for node in nodes},
            advice="./inv status shows whether it runs; ./inv start starts it",
            renewal=f"rm {shlex.quote(self.kubeconfig)}; ./inv start writes it anew",
        )

    # images

    def _images(self, node: "Container") -> set[str]:
        return set(containerd.names(self._engine, node, self._app))

    def deliver(self, image: Image) -> Delivered:
        names = names_to_load(lambda: self._engine, image, self._report.dry)
        lacking, through = ([], False) if self._report.dry else self._lacking(names)
        words = equivalents.load_words(self.name, names)
        nodes = _names(lacking or self._nodes()) if through else []
        lines = self._registry.lines(names, nodes) if through else (equivalents.load_image(words),)
        if not self._report.equivalent(*lines) or not lacking:
            return Delivered(image.reference, pulled=False)
        if through and self._delivered(image, names, lacking):
            address = self._registry.address()
            return Delivered(image.reference, pulled=False, through=address.outside if address else "")
        with self._report.step(f"Loading {image.reference} into cluster {self.name}"):
            self._load(words, lacking)
        return Delivered(image.reference, pulled=False)

    def _load(self, words: Sequence[str], nodes: "list[Container]") -> None:
        try:
            with tempfile.TemporaryDirectory() as folder:  # kind leaves its archive behind if it is interrupted
                self._kind(*words, TMPDIR=folder)
        except ProgramError as error:
            told = next((line.strip() for line in error.output.splitlines() if NO_SPACE in line), "")
            if not told:
                raise
            raise ClusterError(
                f"There is no space for the image, in {tempfile.gettempdir()} or on a node of cluster {self.name}: {told}",
                f"docker exec {nodes[0].name} df --human-readable; docker system df shows what could be removed",
            ) from error

    def _delivered(self, image: Image, names: list[str], nodes: "list[Container]") -> bool:
        """Deliver through the registry; False if that fails: behind a proxy, a node may not reach it."""
        try:
            with self._report.step(f"Delivering {image.reference} through the registry of cluster {self.name}") as step:
                self._registry.deliver(names, nodes, step.at)
        except EngineError as error:
            self._report.say(error.sentence)
            return False
        return True

    def _lacking(self, names: list[str]) -> "tuple[list[Container], bool]":
        """The nodes that lack the image, and whether they get it through the registry.

        For nodes that have no build of the application there is no layer to leave out: they get the image from the engine.
        """
        nodes, repository = self._nodes(), self._app.name
        if self._registry.has_any(repository):
            known = self._registry.has(names[0])
            return [node for node in nodes if not known or not containerd.has(self._engine, node, names)], True
        lacking = [node for node in nodes if not containerd.has(self._engine, node, names)]
        changed = any(self._images(node) for node in lacking)
        if changed and not self._registry.available():
            self._report.say("The registry image is missing: nodes receive every layer. ./inv setup installs it.")
        return lacking, changed and self._registry.available()

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:
        removed: set[str] = set()
        kept = cache(used)
        for node in self._nodes():
            removed |= containerd.remove_unused(self._engine, self._report, node, self._app, kept)
        return sorted(removed)

    def service_line(self, kubectl: Sequence[str]) -> str:
        return equivalents.service(self._app, kubectl)

    # lifecycle

    def start(self) -> tuple[Cluster, bool] | None:
        self._engine.require_here()
        if self._report.dry:
            self._show_start()
            return None
        with locking.cluster(self._settings, self._settings.state_folder, self._report):
            nodes = self._settled_nodes()
            condition = self._condition(nodes)
            if condition in ("stopped", "running"):
                self._say_differences(nodes)
            if condition == "stopped":
                self._start()
                if self.condition() == "incomplete":
                    condition = "incomplete"
            if condition == "incomplete":
                self._require_interrupted_here()
                self._report.say(f"The creation or deletion of cluster {self.name} was interrupted: creating it again.")
                self._remove()
            if condition in ("missing", "incomplete"):
                self._create_on_a_free_port()
            return self.cluster(), condition != "running"

    def _show_start(self) -> None:
        condition = self.condition()
        if condition == "incomplete":
            self._require_interrupted_here()
            self._report.equivalent(*self._delete_lines)
        if condition in ("missing", "incomplete"):
            self._network.create()
            config = self.config()
            address = self._registry.serve()
            self._report.equivalent(equivalents.create_cluster(config))
            self._registry.announce(address, config.nodes)
            self._report.equivalent(equivalents.mark_cluster(config.nodes, CREATED))
        elif condition == "stopped":
            self._report.equivalent(self._start_line)

    def _say_differences(self, nodes: "list[Container]") -> None:
        """Report each setting that only a new cluster would follow."""
        kubernetes = kubernetes_of(str(nodes[0].attrs["Config"]["Image"])) or self._settings.kubernetes
        asked, mapped = self._settings.port, _mapped_port(nodes[0])
        port = str(mapped if mapped and asked != DEFAULT_PORT else asked)  # the default one may have been taken
        say_differences(
            self._report,
            self.name,
            {
                "INVOKE_CLUSTER_NODES": (str(self._settings.nodes), str(len(nodes))),
                "INVOKE_CLUSTER_KUBERNETES": (self._settings.kubernetes, kubernetes),
                "INVOKE_CLUSTER_PORT": (str(asked), port),
            },
        )

    def _require_interrupted_here(self) -> None:
        """Raises ClusterError for a cluster that may be whole: only this clone's own half-created one is replaced unasked."""
        if not self.config_file.exists():
            raise ClusterError(
                f"Cluster {self.name} does not carry the mark of a complete one: its creation or deletion was interrupted in"
                " another clone, or is under way.",
                "./inv delete start creates it again",
            )

    def stage(self, image: Image, abandoned: Callable[[], bool]) -> None:
        names = names_to_load(lambda: self._engine, image, self._report.dry)

        def check() -> wait.State:
            if abandoned():
                return wait.Done()
            nodes, address = self._nodes(), self._registry.address()
            if address is None or len(nodes) < self._settings.nodes:
                return wait.Pending("no registry or no node yet")
            try:
                self._registry.bring(address, names, nodes, lambda _line: None)
            except TaskError:  # a node's containerd does not run yet
                return wait.Pending("a node does not pull yet")
            return wait.Done()

        if self._registry.available():
            wait.until(check, timeout=STAGE_SECONDS, longest_pause=0.2)

    def stop(self) -> bool:
        nodes = self._nodes()
        self._require_ours(nodes)
        nodes = [node for node in nodes if node.status == "running"]
        if not nodes:
            return False
        if not self._report.equivalent(equivalents.stop_cluster([*_names(nodes), *self._registry.containers()])):
            return True
        with locking.cluster(self._settings, self._settings.state_folder, self._report):
            nodes = self._nodes()
            if not nodes:  # another run deleted it meanwhile
                return False
            with self._report.step(f"Stopping cluster {self.name}"):
                for node in nodes:
                    containerd.end(self._engine, node)
                    self._engine.stop(node)
                self._registry.stop()
        return True

    def delete(self) -> bool:
        if self._report.dry:
            self._require_ours(self._nodes())
            self._report.equivalent(*self._delete_lines)
            return True
        with locking.cluster(self._settings, self._settings.state_folder, self._report):
            nodes = self._settled_nodes()
            if nodes:
                self._require_ours(nodes)
            elif not self._network.labelled():
                self._remove_files()
                return False
            self._report.equivalent(*self._delete_lines)
            with self._report.step(f"Deleting cluster {self.name}"):
                self._remove()
            return True

    def _nodes(self) -> "list[Container]":
        """The nodes' containers, the control plane first."""
        nodes = self._engine.containers(f"io.x-k8s.kind.cluster={self.name}")
        ours = [node for node in nodes if str(node.name).startswith(f"{self.name}-")]
        return sorted(ours, key=lambda node: (node.name != control_plane(self.name), node.name))

    def _kind(self, *words: str, timeout: float = 0, **variables: str) -> str:
        return shell.run([self.program, *words], env=access.environment() | variables, timeout=timeout)

    @property
    def program(self) -> str:
        found = artifacts.kind(self._settings)
        return found.reference if found.present else "kind"

    def _has_kubeconfig(self, nodes: "list[Container]") -> bool:
        """Whether our kubeconfig file is that of these nodes, and whole: kind writes it when all else is done."""
        port = nodes[0].attrs["HostConfig"]["PortBindings"][f"{API_PORT}/tcp"][0]["HostPort"]
        try:
            text = Path(self.kubeconfig).read_bytes()
        except OSError:
            return False
        return f":{port}\n".encode() in text and re.search(rb"client-key-data: \S+\n$", text) is not None

    def _require_ours(self, nodes: "list[Container]") -> None:
        """Raises OwnershipError if the nodes are not ours. A pruned network cannot say so: then a mark of ours must."""
        if nodes and not self._network.require_ours(nodes) and not self.config_file.exists() and not self._complete(nodes):
            raise OwnershipError(
                f"A kind cluster {self.name} exists, and nothing says that these tasks created it.",
                "Choose another name: INVOKE_CLUSTER_NAME=NAME ./inv ...",
            )

    def _complete(self, nodes: "list[Container]") -> bool:
        return all(self._engine.has_file(node, CREATED) for node in nodes)

    @property
    def _start_line(self) -> str:
        return equivalents.start_cluster([*self._registry.containers(), *_names(self._nodes())])

    @property
    def _delete_lines(self) -> tuple[str, ...]:
        return equivalents.delete_cluster(self.name, self.kubeconfig, self._registry.containers())

    def _start(self) -> None:
        nodes = self._nodes()
        self._report.equivalent(self._start_line)
        try:
            with self._report.step(f"Starting cluster {self.name}"):
                self._network.restore(nodes)
                for node in nodes:
                    self._engine.start(node)
                self._registry.announce(self._registry.serve(), _names(nodes))
        except EngineError as error:
            if any(words in error.sentence for words in PORT_TAKEN):
                raise ClusterError(
                    f"A port of cluster {self.name} is taken by another program: {error.sentence}",
                    "End that program and run ./inv start again, or ./inv delete start for a new cluster on a free port",
                ) from error
            raise

    @property
    def _log(self) -> Path:
        """The output of kind while it creates the cluster; kept only if that fails."""
        return self._settings.cache / "logs" / f"kind-{self.name}.log"

    def _create_on_a_free_port(self) -> None:
        """Create the cluster; once more if somebody took the port between our look and the engine's."""
        try:
            self._create()
        except PortTakenError as error:
            self._report.say(f"{error.sentence.splitlines()[0]} Its port was taken meanwhile; trying the next one.")
            self._create()

    def _create(self) -> None:
        config = self.config()
        if not artifacts.node_image(self._engine, self._settings).present:
            minor = self._settings.kubernetes
            raise ClusterError(
                f"The image of kind's nodes for Kubernetes {minor} is missing: {config.image}.",
                f"INVOKE_CLUSTER_KUBERNETES={minor} ./inv setup",
            )
        if config.port != self._settings.port:
            self._report.say(f"Port {self._settings.port} of 127.0.0.1 is taken: the cluster gets {config.port}.")
        programs.require("kind", artifacts.kind(self._settings), KIND, ["version", "--quiet"], {})
        if shutil.which("docker") is None:
            raise ClusterError(
                "kind uses the command line of Docker, which is missing.", "Install it: https://docs.docker.com/engine/install/"
            )
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_text("")
        try:
            self.prepare(config)
            self._report.equivalent(equivalents.create_cluster(config))
            with self._report.step(f"Creating cluster {self.name} (Kubernetes {self._settings.kubernetes})") as step:
                shell.run(
                    equivalents.create_argv(self.program, config, str(self.config_file)),
                    env={**access.environment(), **equivalents.create_environment(config)},
                    log=self._log,
                    on_line=lambda line: step.at(line.strip(" •✓")),
                )
                self.finish()
            self._report.equivalent(equivalents.mark_cluster(config.nodes, CREATED))
        except OwnershipError:
            self._log.unlink()
            raise
        except BaseException as error:
            self._clean_up(config.size)
            if isinstance(error, ProgramError):
                error_type = PortTakenError if port_taken(error.output, config.port) else ClusterError
                raise error_type(f"Cluster {self.name} could not be created.\n  {error.sentence}", "./inv doctor") from error
            self._log.unlink()
            raise
        self._log.unlink()

    @property
    def config_file(self) -> Path:
        """Where kind finds its configuration."""
        return self._settings.state_folder / "kind.yaml"

    def prepare(self, config: Config) -> None:
        """Create what must be there before kind is called: network, registry, configuration file. Raises OwnershipError."""
        self._registry.require_free()
        self._network.create()
        self._registry.serve()
        self.config_file.parent.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(config.text)
        Path(self.kubeconfig).unlink(missing_ok=True)  # of a cluster that is gone

    def finish(self) -> None:
        """Mark the cluster as complete, after kind has returned."""
        self._registry.announce(self._registry.serve(), _names(self._nodes()))
        for node in self._nodes():
            self._engine.add_file(node, CREATED)

    def _clean_up(self, size: int) -> None:
        """Remove what an interrupted kind leaves; the engine may still be creating containers."""
        with interruption.cleaning(), self._report.step(f"Removing what was created of cluster {self.name}"):
            self._settle(size)
            self._remove()

    def _settled_nodes(self) -> "list[Container]":
        """The nodes, also those that the engine is still creating for a run of ours that was killed."""
        if not self._nodes() and self.config_file.exists():
            self._settle(1)
        return self._nodes()

    def _settle(self, size: int) -> None:
        """Wait for so many nodes, as long as an engine may still create them for somebody who is gone."""
        wait.until(
            lambda: wait.Done() if len(self._nodes()) >= size else wait.Pending("not every container yet"),
            timeout=SETTLE_SECONDS,
            longest_pause=0.2,
        )

    def _await_removal(self) -> None:
        """Wait for an engine that is removing the nodes already."""
        wait.until(
            lambda: wait.Pending("nodes are being removed") if self._nodes() else wait.Done(),
            timeout=DELETION_SECONDS,
            longest_pause=0.2,
        )

    def _remove(self) -> None:
        if self._nodes():
            Path(self.kubeconfig).unlink(missing_ok=True)  # kind would fail at the end if it is damaged
            for node in self._nodes():
                containerd.end(self._engine, node, CREATED)
            failed = ""
            try:
                self._kind(
                    *equivalents.delete_words(self.name, self.kubeconfig), timeout=max(self._settings.timeout, DELETION_SECONDS)
                )
            except ProgramError as error:
                failed = f"\n  {error.sentence}"
                if IN_PROGRESS in error.output:  # for a deletion that was killed
                    self._await_removal()
            left = self._nodes()
            if left:
                names = ", ".join(_names(left))
                raise LeftoverError(f"Nodes of cluster {self.name} are left: {names}.{failed}", "./inv delete")
        self._registry.remove()
        self._network.remove()
        self._remove_files()

    def _remove_files(self) -> None:
        shutil.rmtree(self._settings.state_folder, ignore_errors=True)
        with suppress(OSError):  # other clusters have theirs there
            self._settings.project.state.rmdir()


def _mapped_port(node: "Container") -> int | None:
    """The port of 127.0.0.1 that is mapped to the node port."""
    bindings = node.attrs["HostConfig"]["PortBindings"].get(f"{NODE_PORT}/tcp")
    return int(bindings[0]["HostPort"]) if bindings else None


def _names(nodes: "list[Container]") -> list[str]:
    return [str(node.name) for node in nodes]
