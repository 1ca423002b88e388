"""kind: a cluster whose node is a container. kind has no SDK, so it is called as a program."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubetasks import shell, wait
from kubetasks.engine import Engine
from kubetasks.errors import ClusterError, EngineError, LeftoverError, OwnershipError, ProgramError
from kubetasks.image import HUMAN_TAG, Image
from kubetasks.providers.base import Cluster, Condition
from kubetasks.providers.kind_recipe import NETWORK_VARIABLE, NODE_PORT, Recipe, free_port
from kubetasks.report import Report
from kubetasks.settings import APP, OWNER, OWNER_LABEL, Settings

if TYPE_CHECKING:
    from kubetasks.engine import Container

API_PORT = 6443
SETTLE_SECONDS = 2.0  # in which an engine ends a request whose caller is gone
PORT_TAKEN = ("address already in use", "port is already allocated")  # as Docker says it


class Kind:
    """The cluster named in the settings, on a Docker network of its own that carries our label."""

    def __init__(self, settings: Settings, engine: Engine, report: Report, program: str, node_image: str) -> None:
        self._settings = settings
        self._name = settings.cluster
        self._engine = engine
        self._report = report
        self._program = program
        self._node_image = node_image

    def recipe(self) -> Recipe:
        """What a new cluster would be made with, on a port that is free now."""
        folder = self._settings.state_folder
        return Recipe(
            name=self._name,
            image=self._node_image,
            port=free_port(self._settings.port),
            config_file=folder / "kind.yaml",
            kubeconfig=folder / "kubeconfig",
            environment={NETWORK_VARIABLE: self._name},
        )

    def prepare(self, recipe: Recipe) -> None:
        """Make what must be there before kind is called: the network and the configuration file. Raises OwnershipError."""
        network = self._engine.network(recipe.name)
        if network is None:
            self._engine.create_network(recipe.name)
        else:
            self._require_ours(network)
        recipe.config_file.parent.mkdir(parents=True, exist_ok=True)
        recipe.config_file.write_text(recipe.config)

    def condition(self) -> Condition:
        nodes = self._nodes()
        if not nodes:
            return "missing"
        return "running" if all(node.status == "running" for node in nodes) else "stopped"

    def ensure(self) -> tuple[Cluster, bool]:
        with self._lock():
            return self._ensure()

    def _ensure(self) -> tuple[Cluster, bool]:
        condition = self.condition()
        if condition == "missing":
            self._create()
        elif condition == "stopped":
            self._require_our_network()
            with self._report.step(f"Starting cluster {self._name}"):
                self._start()
        return self.cluster(), condition != "running"

    def cluster(self) -> Cluster:
        if self.condition() != "running":
            raise ClusterError(f"Cluster {self._name} is {self.condition()}.", "./inv start")
        network = self._require_our_network()
        kubeconfig = self._settings.state_folder / "kubeconfig"
        ports = self._nodes()[0].attrs["HostConfig"]["PortBindings"]
        api = ports[f"{API_PORT}/tcp"][0]["HostPort"]
        # another clone may have made the cluster, or made it anew
        if not kubeconfig.exists() or f":{api}\n" not in kubeconfig.read_text():
            kubeconfig.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._kind("export", "kubeconfig", "--name", self._name, "--kubeconfig", str(kubeconfig))
            except ProgramError as error:
                raise ClusterError(
                    f"Cluster {self._name} is only half made: its making was cut off.", "./inv delete start makes it anew"
                ) from error
        bindings = ports.get(f"{NODE_PORT}/tcp") or []
        subnets = [part["Subnet"] for part in network["IPAM"]["Config"] or [] if ":" not in part["Subnet"]]
        return Cluster(
            name=self._name,
            context=f"kind-{self._name}",
            kubeconfig=str(kubeconfig),
            mapped_port=(NODE_PORT, int(bindings[0]["HostPort"])) if bindings else None,
            subnet=subnets[0] if subnets else "",
        )

    def deliver(self, image: Image) -> bool:
        if image.reference in self.delivered():
            return False
        with self._report.step(f"Loading {image.reference} into cluster {self._name}"):
            self._kind("load", "docker-image", "--name", self._name, HUMAN_TAG, image.reference)
        return True

    def delivered(self) -> list[str]:
        if self.condition() != "running":
            return []
        listing = self._engine.run_in(self._nodes()[0], "ctr", "--namespace=k8s.io", "images", "ls", "--quiet")
        prefix = "docker.io/library/"
        return [name.removeprefix(prefix) for name in listing.split() if name.startswith(f"{prefix}{APP}:")]

    def withdraw(self, keep: set[str]) -> list[str]:
        references = [reference for reference in self.delivered() if reference not in keep]
        for node in self._nodes() if references else []:
            names = [f"docker.io/library/{reference}" for reference in references]
            self._engine.run_in(node, "ctr", "--namespace=k8s.io", "images", "rm", "--sync", *names)
        return references

    def stop(self) -> bool:
        if self.condition() != "running":
            return False
        self._require_our_network()
        with self._report.step(f"Stopping cluster {self._name}"):
            for node in self._nodes():
                self._engine.stop(node)
        return True

    def delete(self) -> bool:
        with self._lock():
            return self._delete()

    def _delete(self) -> bool:
        network = self._engine.network(self._name)
        nodes = self._nodes()
        if nodes:
            self._require_our_network()
        if not nodes and not (network and self._ours(network)):
            self._remove_files()
            return False
        with self._report.step(f"Deleting cluster {self._name}"):
            self._remove_all()
        return True

    # the rest is ours

    def _nodes(self) -> "list[Container]":
        nodes = self._engine.containers(f"io.x-k8s.kind.cluster={self._name}")
        return [node for node in nodes if str(node.name).startswith(f"{self._name}-")]

    def _kind(self, *words: str) -> str:
        return shell.run([self._program, *words])

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Of two that make or delete the same cluster, from whichever clone, one goes first."""
        import filelock

        self._settings.cache.mkdir(parents=True, exist_ok=True)
        path = self._settings.cache / f"{self._name}.lock"
        with filelock.FileLock(path):
            try:
                yield
            finally:
                if not self._nodes():
                    path.unlink(missing_ok=True)

    @property
    def _log(self) -> Path:
        """What kind said when it made the cluster; kept where that failed."""
        return self._settings.cache / "logs" / f"kind-{self._name}.log"

    def _start(self) -> None:
        try:
            for node in self._nodes():
                self._engine.start(node)
        except EngineError as error:
            if any(words in error.sentence for words in PORT_TAKEN):
                raise ClusterError(
                    f"A port of cluster {self._name} is taken by another program: {error.sentence}",
                    "End that program and ./inv start again; ./inv delete start makes the cluster anew on a free port",
                ) from error
            raise

    def _create(self) -> None:
        recipe = self.recipe()
        if recipe.port != self._settings.port:
            self._report.say(f"Port {self._settings.port} of 127.0.0.1 is taken: the cluster gets {recipe.port}.")
        if shutil.which(self._program) is None:
            raise ClusterError("kind is not there.", "./inv setup brings it")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._log.write_text("")
        try:
            self.prepare(recipe)
            with self._report.step(f"Making cluster {self._name} (Kubernetes {self._settings.kubernetes})") as step:
                shell.run(
                    recipe.argv(self._program, str(recipe.config_file)),
                    env=recipe.environment,
                    log=self._log,
                    on_line=lambda line: step.at(line.strip(" •✓")),
                )
        except OwnershipError:
            self._log.unlink()
            raise
        except BaseException as error:
            self._take_back()
            if isinstance(error, ProgramError):
                raise ClusterError(f"Cluster {self._name} could not be made.\n  {error.sentence}", "./inv doctor") from error
            self._log.unlink()
            raise
        self._log.unlink()

    def _take_back(self) -> None:
        """Remove what an interrupted kind leaves; the engine may still be at the container that it was asked for last."""
        wait.until(
            lambda: wait.Done() if self._nodes() else wait.Pending("no container yet"),
            timeout=SETTLE_SECONDS,
            longest_pause=0.2,
        )
        self._remove_all()

    def _remove_all(self) -> None:
        kubeconfig = self._settings.state_folder / "kubeconfig"
        if self._nodes():
            self._kind("delete", "cluster", "--name", self._name, "--kubeconfig", str(kubeconfig))
        if self._nodes():
            raise LeftoverError(f"Nodes of cluster {self._name} are still there.", "./inv delete again")
        network = self._engine.network(self._name)
        if network and self._ours(network):
            self._engine.remove_network(self._name)
        self._remove_files()

    def _remove_files(self) -> None:
        shutil.rmtree(self._settings.state_folder, ignore_errors=True)
        with suppress(OSError):  # other clusters have theirs there
            self._settings.state.rmdir()

    def _ours(self, network: dict[str, Any]) -> bool:
        return bool((network.get("Labels") or {}).get(OWNER_LABEL) == OWNER)

    def _require_ours(self, network: dict[str, Any]) -> None:
        if not self._ours(network):
            raise OwnershipError(
                f"A Docker network {self._name} exists and was not made by these tasks.",
                "Take another name: INVOKE_CLUSTER_NAME=NAME ./inv ...",
            )

    def _require_our_network(self) -> dict[str, Any]:
        network = self._engine.network(self._name)
        if network is None or not self._ours(network):
            raise OwnershipError(
                f"A kind cluster {self._name} exists and was not made by these tasks.",
                "Take another name: INVOKE_CLUSTER_NAME=NAME ./inv ...",
            )
        return network
