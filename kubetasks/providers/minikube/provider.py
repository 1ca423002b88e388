"""The adapter for minikube: a profile named after the cluster, with a home folder and a kubeconfig of its own."""

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kubetasks.engine import access, client
from kubetasks.engine.client import Engine
from kubetasks.engine.image import Delivered, Image, names_to_load
from kubetasks.errors import ClusterError, EngineError, LeftoverError, OwnershipError, ProgramError
from kubetasks.project.settings import Settings
from kubetasks.project.versions import KICBASE, KUBERNETES, MINIKUBE
from kubetasks.providers import containerd, programs
from kubetasks.providers.base import DELETION_SECONDS, Cluster, Condition
from kubetasks.providers.differences import say_differences
from kubetasks.providers.minikube import docker_images, tunnel
from kubetasks.providers.minikube.config import PROFILE_LABEL, Config, pulled_release
from kubetasks.setup import artifacts, needs
from kubetasks.terminal import equivalents, interruption, locking, shell, wait
from kubetasks.terminal.report import Report

if TYPE_CHECKING:
    from kubetasks.engine.client import Container

CREATED = "/etc/simple-server-tasks-created"  # a file on the node, written last: its creation was not interrupted
COPIES = "/var/lib/minikube/images"  # where minikube copies, in the node, what it loads, and leaves it
WHOLE_KUBECONFIG = re.compile(rb"client-key: .+\n$")  # minikube writes our key last
ENGINE_PORT = 2376  # of the engine in the node
SETTLE_SECONDS = 2.0  # in which an engine completes a request whose sender is gone
KUBELET_RUNS = "grep --quiet --no-messages --line-regexp kubelet /proc/[0-9]*/comm"  # systemd may be too busy to answer
QUIET = {"MINIKUBE_WANTUPDATENOTIFICATION": "false"}


class Minikube:
    """The cluster named in the settings. A volume, which minikube would create without our label, says that it is ours."""

    needs = (needs.MINIKUBE, needs.MINIKUBE_NODE_IMAGE)
    node_port = None
    kubectl: tuple[str, ...] = ()
    shared = False
    network = ""  # minikube's own tunnel gives the addresses

    def __init__(self, settings: Settings, report: Report, connect: Callable[[], Engine]) -> None:
        self.name = settings.cluster
        self._settings = settings
        self._app = settings.app
        self._report = report
        self._connect = connect

    @property
    def environment(self) -> Mapping[str, str]:
        return {"MINIKUBE_HOME": str(self._folder), "KUBECONFIG": self.kubeconfig}

    @property
    def kubeconfig(self) -> str:
        return str(self._folder / "kubeconfig")

    @property
    def _folder(self) -> Path:
        """The folder of the cluster's files: in the clone that created it, if both are still there."""
        try:
            recorded = self._recorded("state")
        except EngineError:  # under --dry
            recorded = ""
        return Path(recorded) if _exists(recorded) else self._settings.state_folder

    @property
    def program(self) -> str:
        found = artifacts.minikube(self._settings)
        return found.reference if found.present else "minikube"

    @cached_property
    def _engine(self) -> Engine:
        return self._connect()

    def config(self) -> Config:
        """What a new cluster would be created with."""
        image = artifacts.kicbase_image(self._engine, self._settings)
        version = KUBERNETES[self._settings.kubernetes]
        built = image.reference != KICBASE
        release = f"v{version.built}" if built else pulled_release(version.pulled)
        return Config(self.name, image.reference, built, release, built or os.geteuid() == 0, self._settings.runtime)

    def condition(self) -> Condition:
        node = self._node()
        if node is None:
            return "missing"
        self._require_ours()
        self._require_keys()
        if not self._engine.has_file(node, CREATED):
            return "incomplete"
        return "running" if node.status == "running" and self._serves(node) else "stopped"

    def _serves(self, node: "Container") -> bool:
        """Whether the kubelet runs: only minikube starts it, not a restart of the container."""
        return self._engine.succeeds(node, "sh", "-c", KUBELET_RUNS)

    def cluster(self) -> Cluster:
        node = self._running_node()
        self._restore_kubeconfig()
        return Cluster(
            kubeconfig=self.kubeconfig,
            context=self.name,
            mapped_port=None,
            subnet="",
            load_balancer=False,
            node_ports=True,
            reachable=True,
            direct=True,
            registry=None,
            since={self.name: datetime.fromisoformat(node.attrs["State"]["StartedAt"])},
            advice="./inv status shows whether it runs; ./inv start starts it",
            renewal=f"rm {shlex.quote(self.kubeconfig)}; ./inv start writes it anew",
        )

    def _restore_kubeconfig(self) -> None:
        """Let minikube write our kubeconfig file anew if it is gone or cut off."""
        if self._remove_damaged_kubeconfig():
            self._minikube("update-context", "--profile", self.name)

    def _remove_damaged_kubeconfig(self) -> bool:
        """Whether there is no kubeconfig of ours now. minikube can neither add to a damaged one nor take its part out of it."""
        file = Path(self.kubeconfig)
        with suppress(OSError):
            if WHOLE_KUBECONFIG.search(file.read_bytes()):
                return False
        file.unlink(missing_ok=True)
        return True

    def _running_node(self) -> "Container":
        """The node's container. Raises ClusterError if the cluster does not run."""
        condition, node = self.condition(), self._node()
        if condition == "incomplete":
            raise ClusterError(
                f"The creation or deletion of cluster {self.name} was interrupted.", "./inv start creates it again"
            )
        if condition != "running" or node is None:
            raise ClusterError(f"Cluster {self.name} is {condition}.", "./inv start")
        return node

    # images

    def deliver(self, image: Image) -> Delivered:
        if self._builds() and (self._report.dry or image.reference in self._images(self._running_node())):
            return Delivered(image.reference, pulled=False)
        names = names_to_load(lambda: self._engine, image, self._report.dry)
        if not self._report.equivalent(*self._load_lines(names)):
            return Delivered(image.reference, pulled=False)
        node = self._running_node()
        if not self._has(node, names):
            with self._report.step(f"Loading {image.reference} into cluster {self.name}"):
                self._load(node, names)
            # minikube ends with 0 whatever happens; the tutorial's name may mean another run's build by now
            if not self._has(node, names[:1]):
                raise ClusterError(f"minikube did not load {image.reference}.", "./inv --echo deploy shows how to do it by hand")
        return Delivered(image.reference, pulled=False)

    def _load_lines(self, names: list[str]) -> tuple[str, ...]:
        lines = equivalents.minikube(self._load_words), equivalents.run_in(self.name, self._forget_words)
        return equivalents.load_file(names, str(self._image_file), *lines)

    @property
    def _image_file(self) -> Path:
        return self._folder / "image.tar"

    @property
    def _load_words(self) -> list[str]:
        return ["image", "load", "--profile", self.name, str(self._image_file)]

    @property
    def _forget_words(self) -> list[str]:
        """minikube leaves a copy of the file on the node."""
        return ["rm", "--force", f"{COPIES}/{self._image_file.name}"]

    def _load(self, node: "Container", names: list[str]) -> None:
        """Load images through a file: by name, minikube needs four times as long, and keeps an old image of the same name."""
        # there is one file for all namespaces and clones
        with locking.cluster(self._settings, self._folder, self._report):
            try:
                self._engine.save(names, self._image_file)
                self._minikube(*self._load_words)
                self._engine.run_in(node, *self._forget_words)
            finally:
                self._image_file.unlink(missing_ok=True)

    def _has(self, node: "Container", names: list[str]) -> bool:
        has = docker_images.has if self._has_docker else containerd.has
        return has(self._engine, node, names)

    def _images(self, node: "Container") -> list[str]:
        names = docker_images.names if self._has_docker else containerd.names
        return names(self._engine, node, self._app)

    @property
    def _has_docker(self) -> bool:
        """Whether Docker runs the node's containers: a cluster keeps what it was created with."""
        profile = self._folder / ".minikube" / "profiles" / self.name / "config.json"
        if not profile.exists():
            return self._settings.runtime == "docker"
        return bool(json.loads(profile.read_text())["KubernetesConfig"]["ContainerRuntime"] == "docker")

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:
        node = self._running_node()
        remove = docker_images.remove_unused if self._has_docker else containerd.remove_unused
        return sorted(remove(self._engine, self._report, node, self._app, used))

    # the node's engine

    def _builds(self) -> bool:
        """Whether the node runs and has an engine."""
        try:
            return self._has_docker and self.condition() == "running"
        except EngineError:
            if not self._report.dry:
                raise
            return False

    def node_engine(self) -> Engine | None:
        if not self._builds():
            return None
        address = self._running_node().attrs["NetworkSettings"]["Networks"][self.name]["IPAddress"]
        return client.connect_to_node(self._app.owner, f"{address}:{ENGINE_PORT}", self._folder / ".minikube" / "certs")

    @contextmanager
    def building(self) -> Iterator[None]:
        self._load_base(self._running_node())
        self._report.equivalent(equivalents.use_engine(self._docker_env_words))
        yield
        self._report.equivalent(equivalents.use_engine([*self._docker_env_words, "--unset"]))

    @property
    def _docker_env_words(self) -> list[str]:
        return ["docker-env", "--profile", self.name]

    def docker_env(self, unset: bool) -> str | None:
        if not self._has_docker and not (unset and access.node_of_shell()):
            return None
        words = [*self._docker_env_words, *(["--unset"] if unset else [])]
        if not self._report.equivalent(equivalents.minikube(words)):
            return ""
        self._require_program()
        if not unset:
            self._load_base(self._running_node())
        return shell.run([self.program, *words], env=self._programs_environment).strip()

    def _load_base(self, node: "Container") -> None:
        """Load the image that the application is built on, if it was built here: the node could pull it from nowhere."""
        base = artifacts.base_image(self._engine, self._settings)
        if not base.present or "@" in base.reference or base.reference in docker_images.listed(self._engine, node):
            return
        if self._report.equivalent(*self._load_lines([base.reference])):
            with self._report.step(f"Loading {base.reference} into cluster {self.name}"):
                self._load(node, [base.reference])

    def service_line(self, kubectl: Sequence[str]) -> str:  # noqa: ARG002  minikube asks the cluster of its profile
        namespace = ["--namespace", self._settings.namespace] if self._settings.namespace != "default" else []
        return equivalents.minikube(["service", self._app.name, "--url", "--profile", self.name, *namespace])

    # tunnel

    @property
    def _tunnel_words(self) -> list[str]:
        return ["tunnel", "--profile", self.name]

    @property
    def tunnel_line(self) -> str:
        return equivalents.minikube(self._tunnel_words)

    @contextmanager
    def tunnel(self) -> Iterator[tunnel.Tunnel]:
        self._require_program()
        tunnel.require_rights()
        networks = self._running_node().attrs["NetworkSettings"]["Networks"]
        tunnel.require_free(networks[self.name]["IPAddress"])
        log = self._folder / "tunnel.log"
        with tunnel.opened([self.program, *self._tunnel_words], self._programs_environment, log) as opened:
            yield opened

    # lifecycle

    def registry(self) -> tuple[str, int] | None:
        return None

    def start(self) -> tuple[Cluster, bool] | None:
        self._engine.require_here()
        if self._report.dry:
            self._show_start()
            return None
        with locking.cluster(self._settings, self._folder, self._report):
            if self._is_ours():  # a run that was killed may have begun
                self._settle()
            condition = self.condition()
            if condition in ("stopped", "running"):
                self._say_differences()
            if condition == "stopped":
                self._start()
            if condition == "incomplete":
                self._report.say(f"The creation or deletion of cluster {self.name} was interrupted: creating it again.")
            if condition in ("missing", "incomplete"):
                self._create()
            return self.cluster(), condition != "running"

    def _say_differences(self) -> None:
        """Report each setting that only a new cluster would follow."""
        created = self._recorded("kubernetes") or self._settings.kubernetes
        runtime = "docker" if self._has_docker else "containerd"
        say_differences(
            self._report,
            self.name,
            {
                "INVOKE_CLUSTER_KUBERNETES": (self._settings.kubernetes, created),
                "INVOKE_CLUSTER_RUNTIME": (self._settings.runtime, runtime),
            },
        )

    def _show_start(self) -> None:
        condition = self.condition()
        if condition == "incomplete":
            self._report.equivalent(self._delete_line)
        if condition in ("missing", "incomplete"):
            self._report.equivalent(self._create_volume_line, equivalents.minikube(self.config().create), self._mark_line)
        elif condition == "stopped":
            self._report.equivalent(equivalents.minikube(self.config().start))

    def _start(self) -> None:
        self._require_program()
        self._remove_damaged_kubeconfig()
        words = self.config().start
        self._report.equivalent(equivalents.minikube(words))
        with self._report.step(f"Starting cluster {self.name}") as step:
            try:
                self._minikube(*words, on_line=step.at)
            except ProgramError as error:
                raise ClusterError(
                    f"Cluster {self.name} could not be started.\n  {error.sentence}", "./inv delete start creates it again"
                ) from error

    def _create(self) -> None:
        self._require_program()
        config = self.config()
        if self._engine.image_id(config.image) is None:
            raise ClusterError(f"The image of minikube's nodes is missing: {config.image}.", "./inv setup")
        self._require_names_free()
        if self._left():
            self._remove()
        try:
            self._report.equivalent(self._create_volume_line, equivalents.minikube(config.create))
            with self._report.step(f"Creating cluster {self.name} (Kubernetes {self._settings.kubernetes})") as step:
                self._engine.create_volume(self.name, self._labels)
                self._minikube(*config.create, on_line=step.at)
                self.finish()
            self._report.equivalent(self._mark_line)
        except BaseException as error:
            self._clean_up()
            if isinstance(error, ProgramError):
                raise ClusterError(f"Cluster {self.name} could not be created.\n  {error.sentence}", "./inv doctor") from error
            raise

    @property
    def _labels(self) -> dict[str, str]:
        """The labels of the volume. minikube removes it by its own one; the keys to the cluster are in the state folder alone."""
        owner, settings = self._app.owner, self._settings
        told = {
            "cluster": self.name,
            "provider": "minikube",
            "state": str(settings.state_folder),
            "kubernetes": settings.kubernetes,
        }
        return {**owner.labels, **{owner.key(name): value for name, value in told.items()}, PROFILE_LABEL: self.name}

    @property
    def _create_volume_line(self) -> str:
        return equivalents.create_volume(self.name, self._labels)

    @property
    def _mark_line(self) -> str:
        return equivalents.mark_cluster([self.name], CREATED)

    @property
    def _delete_words(self) -> list[str]:
        return ["delete", "--profile", self.name]

    @property
    def _delete_line(self) -> str:
        return equivalents.minikube(self._delete_words)

    def finish(self) -> None:
        """Mark the cluster as complete, after minikube has returned."""
        node = self._node()
        if node is None:
            raise ClusterError(f"minikube created no container {self.name}.", "./inv doctor")
        self._engine.add_file(node, CREATED)

    def stage(self, image: Image, abandoned: Callable[[], bool]) -> None:
        """Nothing: minikube itself must have started the node."""

    def stop(self) -> bool:
        node = self._node()
        if node is None:
            return False
        self._require_ours()
        if node.status != "running":
            return False
        self._require_keys()
        words = ["stop", "--profile", self.name]
        if not self._report.equivalent(equivalents.minikube(words)):
            return True
        self._require_program()
        with locking.cluster(self._settings, self._folder, self._report):
            if self._node() is None:  # another run deleted it meanwhile
                return False
            with self._report.step(f"Stopping cluster {self.name}") as step:
                self._minikube(*words, on_line=step.at)
        return True

    def delete(self) -> bool:
        if self._node():
            self._require_ours()
        if self._report.dry:
            self._report.equivalent(self._delete_line)
            return True
        with locking.cluster(self._settings, self._folder, self._report):
            if self._is_ours():
                self._settle()
            if not self._left():
                self._remove_files(self._settings.state_folder)
                return False
            self._require_program()
            self._report.equivalent(self._delete_line)
            with self._report.step(f"Deleting cluster {self.name}"):
                self._remove()
            return True

    # what is there

    def _node(self) -> "Container | None":
        found = self._engine.container(self.name)
        return found if found and found.labels.get(PROFILE_LABEL) == self.name else None

    def _left(self) -> list[str]:
        """What is there of the cluster, by name; whose network and containers these are, our volume says."""
        return [f"volume {self.name}", *self._minikubes()] if self._is_ours() else []

    def _minikubes(self) -> list[str]:
        """What is there of what minikube created, by name."""
        containers = [f"container {one.name}" for one in self._engine.containers(f"{PROFILE_LABEL}={self.name}")]
        network = (self._engine.network(self.name) or {}).get("Labels") or {}
        return [*containers, *([f"network {self.name}"] if network.get(PROFILE_LABEL) == self.name else [])]

    def _labels_of_volume(self) -> dict[str, str]:
        return self._engine.volume(self.name) or {}

    def _recorded(self, name: str) -> str:
        """What the volume's label of that name says, or ""."""
        return self._labels_of_volume().get(self._app.owner.key(name), "")

    def _is_ours(self) -> bool:
        return self._app.owner.owns(self._labels_of_volume())

    def _require_ours(self) -> None:
        """Raises OwnershipError for a cluster without our volume."""
        if not self._is_ours():
            raise OwnershipError(
                f"A minikube cluster {self.name} exists and was not created by these tasks.",
                "Choose another name: INVOKE_CLUSTER_NAME=NAME ./inv ...",
            )

    def _require_keys(self) -> None:
        """Raises ClusterError if the folder with minikube's keys to the cluster is gone."""
        recorded = self._recorded("state")
        if not _exists(recorded):
            raise ClusterError(
                f"The keys to cluster {self.name} are gone: they were in {recorded}.", "./inv delete start creates it again"
            )

    def _require_names_free(self) -> None:
        """Raises OwnershipError for what minikube would use, or remove, as its own: a network, volume or container."""
        network = self._engine.network(self.name)
        container = self._engine.container(self.name)
        volume = self._engine.volume(self.name)
        taken = {
            "network": network is not None and (network.get("Labels") or {}).get(PROFILE_LABEL) != self.name,
            "container": container is not None and container.labels.get(PROFILE_LABEL) != self.name,
            "volume": volume is not None and not self._is_ours(),
        }
        for kind in (kind for kind, foreign in taken.items() if foreign):
            raise OwnershipError(
                f"A Docker {kind} {self.name} exists and is not of this cluster.",
                "Choose another name: INVOKE_CLUSTER_NAME=NAME ./inv ...",
            )

    # minikube

    @property
    def _programs_environment(self) -> dict[str, str]:
        return {**self.environment, **QUIET, **_own_kubectl()}

    def _minikube(self, *words: str, on_line: Callable[[str], None] = lambda _line: None, timeout: float = 0) -> None:
        shell.run(
            [self.program, *words],
            env=self._programs_environment,
            on_line=lambda line: on_line(line.strip(" *")),
            merged=True,
            timeout=timeout,
        )

    def _require_program(self) -> None:
        """Raises ClusterError if minikube is not installed, or on PATH alone and too old."""
        programs.require("minikube", artifacts.minikube(self._settings), MINIKUBE, ["version", "--short"], self.environment)

    def _clean_up(self) -> None:
        """Remove what an interrupted minikube leaves; the engine may still be creating the container."""
        with interruption.cleaning(), self._report.step(f"Removing what was created of cluster {self.name}"):
            self._settle()
            self._remove()

    def _settle(self) -> None:
        """Wait for the node, as long as an engine may still create it for somebody who is gone."""
        wait.until(
            lambda: wait.Done() if self._node() else wait.Pending("no container yet"), timeout=SETTLE_SECONDS, longest_pause=0.2
        )

    def _remove(self) -> None:
        folder, node = self._folder, self._node()
        if node:
            containerd.end(self._engine, node, CREATED)
        self._remove_damaged_kubeconfig()
        failed = ""
        try:
            self._minikube(*self._delete_words, timeout=max(self._settings.timeout, DELETION_SECONDS))
        except ProgramError as error:
            failed = f"\n  {error.sentence}"
        left = self._minikubes()
        if left:
            names = ", ".join(left)
            raise LeftoverError(f"Parts of cluster {self.name} are left: {names}.{failed}", "docker rm, or docker network rm")
        if self._is_ours():  # minikube had not used it yet
            self._engine.remove_volume(self.name)
        self._remove_files(folder)

    def _remove_files(self, folder: Path) -> None:
        if folder.name == self._settings.state_folder.name:  # else it was not the tasks that wrote the label
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # other clusters have theirs there
            folder.parent.rmdir()


def _exists(folder: str) -> bool:
    """Whether the folder is there for us: another user's may be closed, which is an error to Path.exists."""
    return os.path.exists(folder)  # noqa: PTH110


def _own_kubectl() -> dict[str, str]:
    """Put our kubectl first on PATH: minikube asks the first one for its version, and some then write into ~/.kube."""
    found = artifacts.kubectl()
    return {"PATH": f"{Path(found.reference).parent}{os.pathsep}{os.environ.get('PATH', '')}"} if found.present else {}
