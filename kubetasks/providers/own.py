"""A cluster that kubetasks creates, starts again, stops and deletes, with whichever provider.

The next start or delete repairs whatever was interrupted: a file on each node, written last, marks a complete cluster.
The adapters implement what differs between kind and minikube.
"""

import os
import re
import shlex
import shutil
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from kubetasks.engine import access
from kubetasks.engine.image import Delivered, Image, names_to_load
from kubetasks.errors import ClusterError, LeftoverError, OwnershipError, ProgramError, TaskError
from kubetasks.project.settings import DEFAULTS
from kubetasks.project.words import INV, INVOKE
from kubetasks.providers import containerd
from kubetasks.providers.base import Cluster, Phase, Provider
from kubetasks.setup import inventory
from kubetasks.setup.requirements import Artifact, Requirement
from kubetasks.terminal import interruption, locking, shell, wait
from kubetasks.terminal.door import At

if TYPE_CHECKING:
    from kubetasks.engine.client import Container, Engine

SETTLE_SECONDS = 2.0  # for the engine to complete a request whose client is gone
DELETION_SECONDS = 120.0  # at least: a deletion that times out leaves parts behind
DECISIVE = re.compile(r"^error: .+$", re.MULTILINE | re.IGNORECASE)
IGNORED = ".gitignore"
SUPPLIED_IDS = "/var/lib/kubetasks-images"  # a file on each node, with image ids: a name alone does not identify an image
IN_PROGRESS = "is already in progress"  # the engine's message for a second removal
# QPS and burst of Kubernetes' controllers. At startup each requests a service account and a token, one after the other: some
# 150 requests. With Kubernetes' default of 20 per second, a new cluster stalls for 4 s. The API server limits its own load.
CONTROLLERS_RATE = 500


@dataclass(frozen=True)
class Specification:
    """The wanted cluster; its files are written to `folder`, and `labels` identify its owner."""

    kubernetes: str
    nodes: int
    timeout: float
    folder: Path
    labels: Mapping[str, str]


@dataclass(eq=False)
class Own(Provider):
    """A cluster that kubetasks starts, stops and deletes. An adapter implements the methods below `what differs`."""

    mark: ClassVar[str]
    _wanted: Specification
    _cache: Path  # the folder of locks and logs
    _find: "Callable[[Requirement, Engine | None], Artifact]"  # an image is looked up in the engine
    _said_where_from: bool = field(default=False, init=False)

    @property
    def program(self) -> str:
        artifact = self._find(self.requirements[0], None)
        return artifact.reference if artifact.present else self.requirements[0].name

    def _require_program(self) -> None:
        """Raise ClusterError if `program` is not installed."""
        if not self._find(self.requirements[0], None).present:
            raise ClusterError(f"{self.program} is not installed.", inventory.command(self.program, self._wanted.kubernetes))

    @property
    def folder(self) -> Path:
        """The folder of the cluster's files."""
        return self._wanted.folder

    @property
    def kubeconfig(self) -> str:
        return str(self.folder / "kubeconfig")

    @property
    def _size(self) -> int:
        """The number of nodes of a new cluster."""
        return self._wanted.nodes

    def check(self) -> None:
        """Raise SettingError if the settings do not allow the cluster to be created."""

    def phase(self) -> Phase:
        return self._phase(self._nodes())

    def _phase(self, nodes: "list[Container]") -> Phase:
        if not nodes:
            return "missing"
        self._require_usable(nodes)
        if not self._complete(nodes):
            return "incomplete"
        return "running" if self._serves(nodes) else "stopped"

    def cluster(self) -> Cluster:
        nodes = self._nodes()
        phase = self._phase(nodes)
        if phase == "incomplete":
            raise ClusterError(
                f"The creation or deletion of cluster {self.name} was interrupted.", f"{INV} start creates it again"
            )
        if phase == "missing":
            self._require_no_namesake()
        if phase != "running":
            raise ClusterError(f"Cluster {self.name} is {phase}.", f"{INV} start")
        return self._facts(nodes)

    def _require_no_namesake(self) -> None:
        """Raise ClusterError if the owner's cluster of this name was created with another provider."""
        for other in self._engine.clusters():
            provider = other.provider or DEFAULTS["cluster"]["provider"]
            if (other.owner, other.name) == (self._app.owner.name, self.name) and provider != self.requirements[0].name:
                hint = f"{INVOKE}_CLUSTER_PROVIDER={provider} {INV} ...; or choose another name: {INVOKE}_CLUSTER_NAME=NAME"
                raise ClusterError(f"Cluster {self.name} was created with the provider {provider}.", hint)

    # lifecycle

    def start(self) -> tuple[Cluster | None, Phase]:
        """Create or start the cluster if necessary. Return its facts (None under --dry), and its previous phase.

        Its API server and nodes may not be ready yet.
        """
        self._engine.require_usable()
        with self._locked():
            nodes = self._nodes() or self._settled()
            phase = self._phase(nodes)
            if phase in ("running", "stopped"):
                self._say_differences(nodes)
            if phase == "stopped":
                self._resume()
                if ended := self._do.unless_dry(self.ended):
                    raise ended
            if phase in ("missing", "incomplete"):
                self._require_no_namesake()
                self._do.unless_dry(self._require_equipped)
                self.check()
                self._require_free()
                if phase == "incomplete":
                    self._do.say(f"The creation or deletion of cluster {self.name} was interrupted: creating it again.")
                if self._existing_parts():
                    self._remove()
                self._create_whole()
            else:
                self._restore()
            return self._do.unless_dry(lambda: self._facts(nodes) if phase == "running" else self.cluster()), phase

    def ended(self) -> ClusterError | None:
        """Return the error to raise if a node has exited since the cluster was started, otherwise None."""
        for node in self._nodes():
            if node.status != "running":
                message = f"Node {node.name} of cluster {self.name} has exited since it was started."
                return ClusterError(message, f"docker logs {node.name} says why; {INV} delete start creates a new cluster")
        return None

    def stop(self) -> bool:
        """Stop the cluster, and keep its content. Return False if it was not running."""
        with self._locked():
            if self.phase() == "missing" or all(node.status != "running" for node in self._nodes()):
                return False
            self._halt()
            return True

    def delete(self) -> bool:
        """Delete the cluster and everything created for it. Return False if it did not exist."""
        with self._locked():
            nodes = self._nodes() or self._settled()
            if nodes:
                self._require_ours(nodes)
                self._say_where_from()
            if not self._existing_parts():
                self._require_no_namesake()
                self._do.unless_dry(lambda: self._remove_files(self._wanted.folder))
                return False
            with self._do.step(f"Deleting cluster {self.name}"):
                self._remove()
            return True

    def _recorded(self, name: str) -> str:
        """Return the value of the cluster's label `name`, or ""."""
        return (self._mark_labels() or {}).get(self._app.owner.key(name), "")

    def _is_ours(self) -> bool:
        return self._app.owner.owns(self._mark_labels())

    def _locked(self) -> AbstractContextManager[None]:
        """Return a context in which no other run of this user creates, changes or deletes the cluster."""
        lock = self._cache / f"{self._wanted.folder.name}.lock"
        return self._do.holding(locking.cluster(self.name, lock, self.folder, self._do.tell))

    def _say_differences(self, nodes: "list[Container]") -> None:
        """Report each setting that differs from the existing cluster: only a new one would follow it."""
        different = self._differences(nodes).items()
        differences = [f"{name} is {wanted}, the cluster has {found}" for name, (wanted, found) in different if wanted != found]
        if differences:
            self._do.say(f"Cluster {self.name} stays as it is ({'; '.join(differences)}): {INV} delete start creates a new one.")

    def _say_where_from(self) -> None:
        """Report once that the cluster was created in another folder: a clone, or another project with the same name."""
        if self._said_where_from:
            return
        self._said_where_from = True
        created = self._recorded("folder")
        if created != self._wanted.labels[self._app.owner.key("folder")] and exists(created):
            own = f"{INVOKE}_CLUSTER_NAME=NAME gives this folder its own"
            self._do.say(f"Cluster {self.name} was created in {created}, which shares it: {own}.")

    def _create_whole(self) -> None:
        """Create the cluster; if that fails, remove what was created. Raises ClusterError, LeftoverError."""
        try:
            with self._do.step(f"Creating cluster {self.name} (Kubernetes {self._wanted.kubernetes})") as at:
                self.finish(self._create(at))
        except BaseException as error:  # noqa: BLE001  raised again, whatever it is
            failed = error
            if isinstance(error, ProgramError):
                failed = ClusterError(f"Cluster {self.name} could not be created.\n  {_why(error)}", f"{INV} doctor")
            try:
                with interruption.cleaning(), self._do.step(f"Removing what was created of cluster {self.name}"):
                    self._do.unless_dry(self._remove_created)
            except TaskError as left:
                why = f"{failed.sentence}\n  " if isinstance(failed, TaskError) else ""
                raise LeftoverError(f"{why}{left.sentence}", left.hint) from error
            raise failed from (error if failed is not error else None)

    def _remove_created(self) -> None:
        self._settle(self._size)  # the engine may still be creating containers after an interruption
        self._remove()

    def finish(self, nodes: Sequence[str]) -> None:
        """Mark the cluster as complete, on each of `nodes`, after its creation. Raises ClusterError if no node was created."""
        if self._do.unless_dry(lambda: not self._nodes()):
            raise ClusterError(f"No container of cluster {self.name} was created.", f"{INV} doctor")
        for node in nodes:
            containerd.run_in(self._do, self._engine, node, "touch", self.mark)

    def _settled(self) -> "list[Container]":
        """Return the nodes; if a killed run left parts behind, let the engine finish first."""
        if self._existing_parts():
            self._do.unless_dry(lambda: self._settle(1))
        return self._nodes()

    def _settle(self, size: int) -> None:
        """Wait up to SETTLE_SECONDS for `size` nodes, which the engine may still be creating for a run that has ended."""
        wait.until(
            lambda: wait.Done() if len(self._nodes()) >= size else wait.Pending("not every container yet"),
            timeout=SETTLE_SECONDS,
        )

    def _remove(self) -> None:
        """Delete whatever exists of the cluster. Raises LeftoverError."""
        folder, failed = self.folder, ""
        self._do.unless_dry(self._prepare_deletion)
        try:
            self._destroy(max(self._wanted.timeout, DELETION_SECONDS))
        except ProgramError as error:
            failed = f"\n  {error.sentence}"
            if IN_PROGRESS in error.output:  # by a deletion that was killed
                wait.until(
                    lambda: wait.Pending("nodes are being removed") if self._nodes() else wait.Done(),
                    timeout=DELETION_SECONDS,
                )
        if left := self._do.unless_dry(self._parts):
            raise LeftoverError(f"Parts of cluster {self.name} could not be deleted: {', '.join(left)}.{failed}", f"{INV} delete")
        # first: they are useless without the nodes, even if removing the rest fails
        self._do.unless_dry(lambda: self._remove_files(folder))
        self._remove_rest()

    def _prepare_deletion(self) -> None:
        """Before the nodes are deleted, stop what starts containers in them, and remove the mark of a complete cluster."""
        for node in self._nodes():
            containerd.end(self._engine, node, self.mark)

    def _make_folder(self) -> None:
        """Create the folder of the cluster's files, and beside it a .gitignore."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder.parent / IGNORED).write_text("*\n")

    def _remove_files(self, folder: Path) -> None:
        if folder.name == self._wanted.folder.name:  # otherwise these tasks did not write the label that names it
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # other clusters may have files there
            if [path.name for path in folder.parent.iterdir()] == [IGNORED]:
                (folder.parent / IGNORED).unlink()
            folder.parent.rmdir()

    # images

    def deliver(self, image: Image) -> Delivered:
        names = self._do.known(lambda: names_to_load(self._engine, image), image.names)
        lacking = self._do.unless_dry(lambda: [node for node in self._nodes() if not self._has(node, names)])
        if lacking is None:  # --dry: it may not be built yet; after docker-env, the node builds it
            needed, lacking = not access.node_of_shell(), self._do.known(self._nodes, list["Container"]())
        else:
            needed = bool(lacking)
        if needed and not self._pull(names, lacking):
            self._load(names, f"Loading {image.reference} into cluster {self.name}")
        return self.delivered(image)

    def supply(self, references: Sequence[str]) -> None:
        for reference in references:
            if "@" not in reference:  # a node pulls an image that is named by digest
                self._supply(reference)

    def _supply(self, reference: str) -> None:
        identity = self._do.known(lambda: self._engine.image_id(reference), None)
        if identity is None:  # not in the engine: a node pulls it
            return
        wanted = f"{reference} {identity}"  # as in this machine's engine; COPIES has such a line for each image

        def lacks(node: "Container") -> bool:
            given = self._engine.run_in(node, "sh", "-c", f"touch {SUPPLIED_IDS}; cat {SUPPLIED_IDS}").splitlines()
            return wanted not in given or not self._has(node, [reference])

        lacking = self._do.unless_dry(lambda: [node for node in self._nodes() if lacks(node)])
        if lacking == []:
            return
        had_earlier = any(self._has(node, [reference]) for node in lacking or ())
        with self._do.step(f"Loading {reference} into cluster {self.name}"):
            self._load([reference], "")
            for node in lacking or ():
                self._engine.run_in(
                    node, "sh", "-c", f"sed -i '\\|^{reference} |d' {SUPPLIED_IDS}; echo '{wanted}' >> {SUPPLIED_IDS}"
                )
        if had_earlier:
            message = f"{reference} is another image now; pods that run the earlier one keep it until they are replaced"
            self._do.say(f"{message}: kubectl rollout restart deployment/NAME.")

    def _loading(self, names: Sequence[str], file: str, *load: str) -> str:
        """Return the commands that save an image to a file, load it with the commands `load`, and remove the file."""
        known = self._do.known(lambda: self._engine.platform(names[0]) if self._engine.image_id(names[0]) else "", "")
        chosen = ["--platform", known] if known else []
        save = shell.line(["docker", "save", *chosen, "--output", file, *names])
        return "\n".join([save, *load, shell.line(["rm", file])])

    def preload(self, image: Image, abandoned: Callable[[], bool]) -> None:
        """Deliver the image to nodes that are still being created, if possible; give up when `abandoned` returns True."""

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:
        kept = cache(used)
        removed = [self._remove_unused(node, kept) for node in self._nodes()]
        return sorted(set().union(*removed))

    def _has(self, node: "Container", names: Sequence[str]) -> bool:
        return containerd.has(self._engine, node, names)

    def _remove_unused(self, node: "Container", used: Callable[[], set[str]]) -> set[str]:
        return containerd.remove_unused(self._engine, self._do, node, [source.name for source in self._app.sources], used)

    def _pull(self, names: Sequence[str], nodes: "Sequence[Container]") -> bool:  # noqa: ARG002
        """Let the nodes pull the image from the cluster's registry. Return False if there is no registry, or if that fails."""
        return False

    # what differs

    @abstractmethod
    def _nodes(self) -> "list[Container]":
        """Return the nodes' containers, the control plane first."""

    @abstractmethod
    def _mark_labels(self) -> Mapping[str, str] | None:
        """Return the labels of the network or volume that carries the owner's label (nodes cannot), or None if it is missing."""

    @abstractmethod
    def _require_ours(self, nodes: "list[Container]") -> None:
        """Raise OwnershipError if the nodes were not created by these tasks."""

    def _require_usable(self, nodes: "list[Container]") -> None:
        """Raise OwnershipError if the nodes were not created by these tasks, ClusterError if the cluster can only be deleted."""
        self._require_ours(nodes)

    @abstractmethod
    def _require_equipped(self) -> None:
        """Raise ClusterError, before anything is changed, if this machine lacks a program or image to create the cluster."""

    @abstractmethod
    def _require_free(self) -> None:
        """Raise OwnershipError if one of the names is taken, ClusterError if another clone may be creating the cluster."""

    def _complete(self, nodes: "list[Container]") -> bool:
        """Whether the cluster was created completely, and its deletion has not started."""
        return all(self._engine.has_file(node, self.mark) for node in nodes)

    def _serves(self, nodes: "list[Container]") -> bool:
        """Whether a complete cluster is running."""
        return all(node.status == "running" for node in nodes)

    def _facts(self, nodes: "list[Container]") -> Cluster:
        """Return the facts about the running cluster."""
        self._say_where_from()
        return Cluster(
            kubeconfig=self.kubeconfig,
            context=self.name,
            unreachable_hint=f"{INV} status shows whether it runs; {INV} start starts it",
            credentials_hint=f"rm {shlex.quote(self.kubeconfig)}; {INV} start creates it again",
            since={str(node.name): datetime.fromisoformat(node.attrs["State"]["StartedAt"]) for node in nodes},
        )

    @abstractmethod
    def _differences(self, nodes: "list[Container]") -> Mapping[str, tuple[str, str]]:
        """Return the settings that only a new cluster would follow: each variable with its wanted and actual value."""

    @abstractmethod
    def _create(self, at: At) -> list[str]:
        """Create the cluster, and return the names of its nodes. Raises ProgramError, which the caller reports."""

    @abstractmethod
    def _resume(self) -> None:
        """Start the stopped cluster."""

    def _restore(self) -> None:
        """Repair the optional parts of a running cluster."""

    @abstractmethod
    def _halt(self) -> None:
        """Stop the running cluster."""

    @abstractmethod
    def _destroy(self, timeout: float) -> None:
        """Delete the cluster with the program that created it. Raises ProgramError."""

    @abstractmethod
    def _parts(self) -> list[str]:
        """Return the existing parts that the program created, each with its kind and name."""

    @abstractmethod
    def _existing_parts(self) -> Iterable[str]:
        """Return the existing parts of the cluster, each with its kind and name."""

    @abstractmethod
    def _remove_rest(self) -> None:
        """Remove the other parts that these tasks created: network, registry or volume."""

    @abstractmethod
    def _load(self, names: Sequence[str], text: str) -> None:
        """Load the image with these names from the engine into each node; `text` describes the step ("" shows none)."""


def foreign(what: str, why: str = "was not created by these tasks") -> OwnershipError:
    return OwnershipError(f"{what} exists and {why}.", f"Choose another name: {INVOKE}_CLUSTER_NAME=NAME {INV} ...")


def exists(folder: str) -> bool:
    """Whether the folder exists and can be accessed; if another user denies access, Path.exists would raise an error."""
    return os.path.exists(folder)  # noqa: PTH110


def _why(error: ProgramError) -> str:
    """Return the program's last error line, which kubeadm follows with a Go stack trace, or else the end of its output."""
    errors = DECISIVE.findall(error.output)
    return f"{errors[-1]}\n  full log: {error.log}" if errors and error.log else error.sentence
