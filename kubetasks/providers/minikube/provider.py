"""The adapter for minikube: a profile named after the cluster, with its own MINIKUBE_HOME and kubeconfig."""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from kubetasks.engine import access, machine
from kubetasks.errors import ClusterError, EngineError, ProgramError, SetupError
from kubetasks.project.versions import KICBASE, KUBERNETES
from kubetasks.project.words import INV, INVOKE
from kubetasks.providers.base import Cluster
from kubetasks.providers.minikube.config import PROFILE_LABEL, Config, pulled_release
from kubetasks.providers.own import Own, exists, foreign
from kubetasks.setup import requirements
from kubetasks.terminal import shell
from kubetasks.terminal.door import At, nowhere, pairs

if TYPE_CHECKING:
    from kubetasks.engine.client import Container

ARCHIVES = "/var/lib/minikube/images"  # on the node: minikube leaves a copy of each archive that it loads
WHOLE_KUBECONFIG = re.compile(rb"client-key: .+\n$")  # minikube writes the client key last
COMMANDS = "cat /proc/[0-9]*/comm || true"  # not systemctl: systemd may be too busy to answer
QUIET = {"MINIKUBE_WANTUPDATENOTIFICATION": "false"}


@dataclass(eq=False)
class Minikube(Own):
    """The node's volume carries the owner's label: it is created first, because minikube would create it without one."""

    requirements = (requirements.MINIKUBE, requirements.MINIKUBE_NODE_IMAGE)
    mark = "/etc/simple-server-tasks-created"
    builds = True
    tunnelled = True
    _runtime: str  # containerd or docker

    @property
    def folder(self) -> Path:
        """The folder of the cluster's files: in the clone that created the cluster, if both still exist."""
        try:
            recorded = self._recorded("state")
        except EngineError:  # whatever needs the engine reports it
            recorded = ""
        return Path(recorded) if exists(recorded) else super().folder

    @property
    def environment(self) -> Mapping[str, str]:
        return {"MINIKUBE_HOME": str(self.folder), **super().environment}

    def config(self) -> Config:
        """Return the configuration of a new cluster."""
        image, version = self._find(requirements.MINIKUBE_NODE_IMAGE, self._engine), KUBERNETES[self._wanted.kubernetes]
        built = image.reference != KICBASE
        release = f"v{version.built}" if built else pulled_release(version.pulled)
        return Config(self.name, image.reference, built, release, self._runtime, self._wanted.timeout)

    # current state

    def _nodes(self) -> "list[Container]":
        node = self._engine.container(self.name)
        return [node] if node and node.labels.get(PROFILE_LABEL) == self.name else []

    def _mark_labels(self) -> dict[str, str] | None:
        return self._engine.volume(self.name)

    def _require_ours(self, nodes: "list[Container]") -> None:  # noqa: ARG002  minikube cannot label them
        if not self._is_ours():
            raise foreign(f"A minikube cluster {self.name}")

    def _require_usable(self, nodes: "list[Container]") -> None:
        self._require_ours(nodes)
        if not exists(self._recorded("state")):
            raise ClusterError(
                f"The keys to cluster {self.name} are gone: they were in {self._recorded('state')}.",
                f"{INV} delete start creates it again",
            )

    def _serves(self, nodes: "list[Container]") -> bool:
        """Whether the kubelet is running too: only minikube starts it, a restart of the container does not."""
        return super()._serves(nodes) and "kubelet\n" in self._engine.run_in(nodes[0], "sh", "-c", COMMANDS)

    def _facts(self, nodes: "list[Container]") -> Cluster:
        if self._do.unless_dry(self._remove_damaged_kubeconfig):
            self._minikube("update-context", "--profile", self.name)
        return replace(super()._facts(nodes), node_ports=machine.reaches_containers(self._engine.info))

    def _remove_damaged_kubeconfig(self) -> bool:
        """Remove a damaged kubeconfig, which minikube cannot edit. Return whether there is no kubeconfig now."""
        file = Path(self.kubeconfig)
        with suppress(OSError):
            if WHOLE_KUBECONFIG.search(file.read_bytes()):
                return False
        file.unlink(missing_ok=True)
        return True

    def _differences(self, nodes: "list[Container]") -> Mapping[str, tuple[str, str]]:  # noqa: ARG002
        created = self._recorded("kubernetes") or self._wanted.kubernetes
        runtime = "docker" if self._has_docker else "containerd"
        return {
            f"{INVOKE}_CLUSTER_KUBERNETES": (self._wanted.kubernetes, created),
            f"{INVOKE}_CLUSTER_RUNTIME": (self._runtime, runtime),
        }

    def _parts(self) -> list[str]:
        containers = [f"container {container.name}" for container in self._engine.containers(f"{PROFILE_LABEL}={self.name}")]
        network = (self._engine.network(self.name) or {}).get("Labels") or {}
        return [*containers, *([f"network {self.name}"] if network.get(PROFILE_LABEL) == self.name else [])]

    def _existing_parts(self) -> list[str]:
        return [f"volume {self.name}", *self._parts()] if self._is_ours() else []

    # lifecycle

    def _require_equipped(self) -> None:
        self._require_program()
        image = self.config().image
        if self._engine.image_id(image) is None:
            raise ClusterError(f"The image of minikube's nodes is missing: {image}.", f"{INV} setup")

    def _require_free(self) -> None:
        container, network = self._engine.container(self.name), self._engine.network(self.name)
        taken = {  # what minikube would use or remove as its own
            "network": network is not None and (network.get("Labels") or {}).get(PROFILE_LABEL) != self.name,
            "container": container is not None and container.labels.get(PROFILE_LABEL) != self.name,
            "volume": self._engine.volume(self.name) is not None and not self._is_ours(),
        }
        for kind in (kind for kind, theirs in taken.items() if theirs):
            raise foreign(f"A Docker {kind} {self.name}", "is not of this cluster")

    @property
    def _labels(self) -> dict[str, str]:
        """The volume's labels; minikube's own makes `minikube delete` remove it. Only the folder in `state` has the keys."""
        facts = {"provider": "minikube", "state": str(self._wanted.folder), "kubernetes": self._wanted.kubernetes}
        own = {self._app.owner.key(name): value for name, value in facts.items()}
        return {**self._wanted.labels, **own, PROFILE_LABEL: self.name}

    def _create(self, at: At) -> list[str]:
        self._do.unless_dry(self._make_folder)
        create = ["docker", "volume", "create", *pairs("--label", self._labels), self.name]
        self._do(create, lambda _: self._engine.create_volume(self.name, self._labels))
        self._minikube(*self.config().create, at=at)
        return [self.name]

    def _resume(self) -> None:
        try:
            with self._do.step(f"Starting cluster {self.name}") as at:
                self._do.unless_dry(self._prepare_kubeconfig)
                self._minikube(*self.config().start, at=at)
        except ProgramError as error:
            raise ClusterError(
                f"Cluster {self.name} could not be started.\n  {error.sentence}", f"{INV} delete start creates it again"
            ) from error

    def _halt(self) -> None:
        with self._do.step(f"Stopping cluster {self.name}") as at:
            self._minikube("stop", "--profile", self.name, at=at)

    def _destroy(self, timeout: float) -> None:
        self._do.unless_dry(self._prepare_kubeconfig)
        self._minikube("delete", "--profile", self.name, timeout=timeout)

    def _prepare_kubeconfig(self) -> None:
        self._require_program()  # first: without it, nothing must be changed
        self._remove_damaged_kubeconfig()

    def _remove_rest(self) -> None:
        if self._do.unless_dry(self._is_ours):  # minikube had not used the volume yet
            self._do(["docker", "volume", "rm", self.name], lambda _: self._engine.remove_volume(self.name))

    @property
    def _programs_environment(self) -> dict[str, str]:
        return {**self.environment, **QUIET, **_own_kubectl()}

    def _minikube(self, *words: str, at: At = nowhere, timeout: float = 0) -> None:
        self._do(["minikube", *words], lambda _: self._run_minikube(words, at, timeout))

    def _run_minikube(self, words: Sequence[str], at: At = nowhere, timeout: float = 0) -> None:
        self._require_program()
        shell.run(
            [self.program, *words],
            env=self._programs_environment,
            on_line=lambda line: at(line.strip(" *")),
            merged=True,
            timeout=timeout,
        )

    # images

    @property
    def _has_docker(self) -> bool:
        """Whether Docker is the node's container runtime; a cluster keeps the one that it was created with."""
        profile = self.folder / ".minikube" / "profiles" / self.name / "config.json"
        if not profile.exists():
            return self._runtime == "docker"
        return bool(json.loads(profile.read_text())["KubernetesConfig"]["ContainerRuntime"] == "docker")

    def _has(self, node: "Container", names: Sequence[str]) -> bool:
        if not self._has_docker:
            return super()._has(node, names)
        # an image that was built in the node has only the names that the build gave it
        return names[0] in self._docker_images(node)

    def _docker_images(self, node: "Container") -> list[str]:
        """Return the names of all images in a node that runs Docker."""
        return self._engine.run_in(node, "docker", "images", "--format={{.Repository}}:{{.Tag}}").splitlines()

    def _remove_unused(self, node: "Container", used: Callable[[], set[str]]) -> set[str]:
        if not self._has_docker:
            return super()._remove_unused(node, used)
        names = [source.name for source in self._app.sources]
        images = sorted(reference for reference in self._docker_images(node) if reference.partition(":")[0] in names)
        kept = used() if images else set()
        gone = [name for name in images if name not in kept]
        argv = ["docker", "rmi", *gone]
        if gone:
            self._do(["docker", "exec", str(node.name), *argv], lambda _: self._engine.run_in(node, *argv))
        return set(gone)

    def _load(self, names: Sequence[str], text: str) -> None:
        """Load an image from an archive: by name, minikube takes four times as long, and keeps an old image of that name."""
        load = ["image", "load", "--profile", self.name, str(self._image_file)]
        forget = ["rm", "--force", f"{ARCHIVES}/{self._image_file.name}"]
        commands = shell.line(["minikube", *load]), shell.line(["docker", "exec", self.name, *forget])
        command = self._loading(names, str(self._image_file), *commands)
        self._do(command, lambda _: self._load_file(names, load, forget), text)

    def _load_file(self, names: Sequence[str], load: Sequence[str], forget: Sequence[str]) -> None:
        (node,) = self._nodes()
        with self._locked():  # all namespaces and clones share one file
            try:
                self._engine.save(names, self._image_file)
                self._run_minikube(load)
                self._engine.run_in(node, *forget)
            finally:
                self._image_file.unlink(missing_ok=True)
        # minikube exits with 0 even if it fails; by now, the tutorial's name may refer to another run's build
        if not self._has(node, names[:1]):
            raise ClusterError(f"minikube did not load {names[0]}.", f"{INV} --echo deploy shows how to do it by hand")

    @property
    def _image_file(self) -> Path:
        return self.folder / "image.tar"

    # the node's engine

    def docker_env(self, unset: bool) -> str | None:
        if not self._has_docker and not (unset and access.node_of_shell()):
            return None
        words = ["docker-env", "--profile", self.name, *(["--unset"] if unset else [])]
        return self._do(["minikube", *words], lambda _: self._docker_env(words, unset)) or ""

    def _docker_env(self, words: Sequence[str], unset: bool) -> str:
        self._require_program()
        if not unset:
            self.cluster()
            self._load_base(*self._nodes())
        lines = shell.run([self.program, *words], env=self._programs_environment).splitlines()
        # its comment names a minikube that is not on PATH, and --unset would end the shell's ssh agent too
        return "\n".join(line for line in lines if not line.startswith("#") and "SSH_" not in line)

    def _load_base(self, node: "Container") -> None:
        """Load the application's base image into the node if it was built on this machine: no registry has it."""
        base = self._find(requirements.BASE_IMAGE, self._engine)
        if not base.present or "@" in base.reference or base.reference in self._docker_images(node):
            return
        self._load([base.reference], f"Loading {base.reference} into cluster {self.name}")

    # the service

    def service_command(self, kubectl: Sequence[str]) -> list[str]:
        return ["minikube", "service", self._app.name, "--url", "--profile", self.name, *kubectl]

    def tunnel(self) -> None:
        words = ["tunnel", "--profile", self.name]
        self._do(["minikube", *words], lambda _: self._keep_tunnel(words))

    def _keep_tunnel(self, words: Sequence[str]) -> None:
        self._require_program()
        self.cluster()
        if not shutil.which("sudo"):  # minikube uses it, even as root, to add a route, which it removes when interrupted
            raise SetupError("minikube tunnel needs sudo on PATH, also as root.", "As root: apt-get install sudo")
        self._do.say(f"While the tunnel is open, {INV} status shows the load balancer's address. Ctrl-C closes it.")
        code = shell.show([self.program, *words], env=self._programs_environment)
        raise ClusterError(f"minikube tunnel ended with {code}.", f"{INV} status shows whether the cluster runs")


def _own_kubectl() -> dict[str, str]:
    """Return a PATH with our kubectl first, or {}: minikube asks the first one's version, and some then write into ~/.kube."""
    kubectl = requirements.kubectl()
    return {"PATH": f"{Path(kubectl.reference).parent}{os.pathsep}{os.environ.get('PATH', '')}"} if kubectl.present else {}
