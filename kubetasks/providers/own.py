"""A cluster of our own, whatever its nodes are: created, started again, stopped and deleted.

Whatever was interrupted is mended by the next start or delete: a file on each node, written last, marks a complete cluster.
An adapter gives what differs between kind and minikube.
"""

import re
import shlex
import shutil
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from kubetasks.engine.image import Delivered, Image, names_to_load
from kubetasks.errors import ClusterError, EngineError, LeftoverError, OwnershipError, ProgramError, TaskError
from kubetasks.providers import containerd
from kubetasks.providers.base import Cluster, Phase, Provider
from kubetasks.terminal import interruption, locking, wait

if TYPE_CHECKING:
    from kubetasks.engine.client import Container

SETTLE_SECONDS = 2.0  # in which an engine completes a request whose sender is gone
DELETION_SECONDS = 120.0  # at least: a deletion that is cut off leaves something
DECISIVE = re.compile(r"^error: .+$", re.MULTILINE | re.IGNORECASE)
IGNORED = ".gitignore"
COPIES = "/var/lib/kubetasks-images"  # on a node: a name alone does not say which image it means
IN_PROGRESS = "is already in progress"  # the engine's words for a second removal
# Requests a second, and at once, of Kubernetes' controllers. At its start each asks for an account and a token, one after the
# other: some 150 requests. With Kubernetes' own 20 a second a new cluster stalls for 4 s. The API server limits what it takes.
CONTROLLERS_RATE = 500


class Own(Provider):
    """The cluster named in the settings, started, stopped and deleted. What an adapter must give is below `what differs`."""

    mark: str

    @property
    def folder(self) -> Path:
        """The folder of the cluster's files."""
        return self._settings.state_folder

    @property
    def kubeconfig(self) -> str:
        return str(self.folder / "kubeconfig")

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
                f"The creation or deletion of cluster {self.name} was interrupted.", "./inv start creates it again"
            )
        if phase != "running":
            raise ClusterError(f"Cluster {self.name} is {phase}.", "./inv start")
        return self._facts(nodes)

    # lifecycle

    def start(self) -> tuple[Cluster, bool]:
        """Create or start the cluster if necessary; True if it was. It may still be coming up."""
        self._engine.require_usable()
        with self._locked():
            nodes = self._nodes() or self._settled()
            phase = self._phase(nodes)
            if phase in ("running", "stopped"):
                self._say_differences(nodes)
            if phase == "stopped":
                with self._report.step(f"Starting cluster {self.name}") as step:
                    self._resume(step.at)
                if ended := self.ended():
                    raise ended
            if phase in ("missing", "incomplete"):
                self._require_creatable()
                if phase == "incomplete":
                    self._report.say(f"The creation or deletion of cluster {self.name} was interrupted: creating it again.")
                if self._left():
                    self._remove()
                self._create_whole()
            else:
                self._restore()
            return self._facts(nodes) if phase == "running" else self.cluster(), phase != "running"

    def ended(self) -> ClusterError | None:
        """What is wrong with a cluster that was started, if one of its nodes has ended since."""
        for node in self._nodes():
            if node.status != "running":
                told = f"Node {node.name} of cluster {self.name} has ended since it was started: {self._engine.last_words(node)}"
                return ClusterError(told, f"docker logs {node.name} says more; ./inv delete start creates a new cluster")
        return None

    def start_lines(self) -> Sequence[str]:
        """The equivalent commands of `start`, none if the cluster runs."""
        self._engine.require_usable()
        phase = self.phase()
        if phase == "running":
            return ()
        if phase == "stopped":
            return self._resume_lines()
        return (*(self._destroy_lines() if self._left() else ()), *self._create_lines())

    def stop(self) -> bool:
        """Stop the cluster and keep what is in it; False if it did not run."""
        lines = self._halt_lines() if self._runs() else ()
        if not self._report.equivalent(*lines):
            return bool(lines)
        with self._locked():
            if not self._runs():
                return False
            with self._report.step(f"Stopping cluster {self.name}") as step:
                self._halt(step.at)
            return True

    def _runs(self) -> bool:
        """Whether a node of the cluster runs, complete or not. Raises OwnershipError."""
        return self.phase() != "missing" and any(node.status == "running" for node in self._nodes())

    def delete(self) -> bool:
        """Delete the cluster and everything created for it; False if there was none."""
        if nodes := self._nodes():
            self._require_ours(nodes)
        lines = self._destroy_lines() if self._left() else ()
        if not self._report.equivalent(*lines):
            return bool(lines)
        with self._locked():
            nodes = self._nodes() or self._settled()
            if nodes:
                self._require_ours(nodes)
            if not self._left():
                self._remove_files(self._settings.state_folder)
                return False
            with self._report.step(f"Deleting cluster {self.name}"):
                self._remove()
            return True

    def _locked(self) -> AbstractContextManager[None]:
        return locking.cluster(self._settings, self.folder, self._report)

    def _say_differences(self, nodes: "list[Container]") -> None:
        """Report each setting that only a new cluster would follow."""
        different = self._differences(nodes).items()
        told = [f"{name} is {wanted}, the cluster has {found}" for name, (wanted, found) in different if wanted != found]
        if told:
            self._report.say(f"Cluster {self.name} stays as it is ({'; '.join(told)}): ./inv delete start creates a new one.")

    def _create_whole(self) -> None:
        """Create the cluster, or remove what was created of it."""
        try:
            with self._report.step(f"Creating cluster {self.name} (Kubernetes {self._settings.kubernetes})") as step:
                self._create(step.at)
                self.finish()
        except BaseException as error:  # noqa: BLE001  raised again, whatever it is
            failed = error
            if isinstance(error, ProgramError):
                failed = ClusterError(f"Cluster {self.name} could not be created.\n  {_why(error)}", "./inv doctor")
            try:
                with interruption.cleaning(), self._report.step(f"Removing what was created of cluster {self.name}"):
                    self._settle(self._settings.nodes)  # an interrupted engine may still be creating containers
                    self._remove()
            except TaskError as left:
                why = f"{failed.sentence}\n  " if isinstance(failed, TaskError) else ""
                raise LeftoverError(f"{why}{left.sentence}", left.hint) from error
            raise failed from (error if failed is not error else None)

    def finish(self) -> None:
        """Mark the cluster as complete, after the program that creates it has returned."""
        nodes = self._nodes()
        if not nodes:
            raise ClusterError(f"No container of cluster {self.name} was created.", "./inv doctor")
        for node in nodes:
            self._engine.run_in(node, "touch", self.mark)

    def _settled(self) -> "list[Container]":
        """The nodes, if an engine is still creating them for a run of ours that was killed: it had begun with something else."""
        if self._left():
            self._settle(1)
        return self._nodes()

    def _settle(self, size: int) -> None:
        """Wait for so many nodes, as long as an engine may still create them for somebody who is gone."""
        wait.until(
            lambda: wait.Done() if len(self._nodes()) >= size else wait.Pending("not every container yet"),
            timeout=SETTLE_SECONDS,
        )

    def _remove(self) -> None:
        """Delete whatever there is of the cluster. Raises LeftoverError."""
        folder, failed = self.folder, ""
        for node in self._nodes():
            containerd.end(self._engine, node, self.mark)
        try:
            self._destroy(max(self._settings.timeout, DELETION_SECONDS))
        except ProgramError as error:
            failed = f"\n  {error.sentence}"
            if IN_PROGRESS in error.output:  # for a deletion that was killed
                wait.until(
                    lambda: wait.Pending("nodes are being removed") if self._nodes() else wait.Done(),
                    timeout=DELETION_SECONDS,
                )
        left = self._parts()
        if left:
            raise LeftoverError(f"Parts of cluster {self.name} are left: {', '.join(left)}.{failed}", "./inv delete")
        self._remove_files(folder)  # first: they are of no use without the nodes, whatever is left
        self._remove_rest()

    def _make_folder(self) -> None:
        """Make the folder of the cluster's files, with whatever git needs to leave it out."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder.parent / IGNORED).write_text("*\n")

    def _remove_files(self, folder: Path) -> None:
        if folder.name == self._settings.state_folder.name:  # else somebody else wrote where it is
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):  # other clusters have theirs there
            if [one.name for one in folder.parent.iterdir()] == [IGNORED]:
                (folder.parent / IGNORED).unlink()
            folder.parent.rmdir()

    # images

    def deliver_lines(self, image: Image) -> Sequence[str]:
        try:
            return self._load_lines(names_to_load(self._engine, image))
        except EngineError:  # under --dry
            return self._load_lines(image.names)

    def deliver(self, image: Image) -> Delivered:
        names = names_to_load(self._engine, image)
        lacking = [node for node in self._nodes() if not self._has(node, names)]
        if lacking and not self._pull(names, lacking):
            with self._report.step(f"Loading {image.reference} into cluster {self.name}"):
                self._load(names, lacking)
        return self.delivered(image)

    def supply(self, references: Sequence[str]) -> None:
        for reference in self._known(references):
            wanted, nodes = f"{reference} {self._engine.image_id(reference)}", self._nodes()
            there = [node for node in nodes if self._has(node, [reference])]
            current = [node for node in there if wanted in self._copies(node)]
            lacking = [node for node in nodes if node not in current]
            if not lacking:
                continue
            with self._report.step(f"Loading {reference} into cluster {self.name}"):
                self._load([reference], lacking)
                for node in lacking:
                    self._engine.run_in(node, "sh", "-c", f"sed -i '\\|^{reference} |d' {COPIES}; echo '{wanted}' >> {COPIES}")
            if there:
                told = f"{reference} is another image now, and pods that run it keep the earlier one until they are replaced"
                self._report.say(f"{told}: kubectl rollout restart deployment/NAME.")

    def _copies(self, node: "Container") -> list[str]:
        """Name and id, as this machine's engine has it, of each other image that was loaded into a node."""
        return self._engine.run_in(node, "sh", "-c", f"touch {COPIES}; cat {COPIES}").splitlines()

    def supply_lines(self, references: Sequence[str]) -> Sequence[str]:
        return [line for reference in self._known(references) for line in self._load_lines([reference])]

    def _known(self, references: Sequence[str]) -> list[str]:
        """Those that the engine has; a node pulls the others, and what is named by its digest."""
        try:
            return [one for one in references if "@" not in one and self._engine.image_id(one)]
        except EngineError:  # under --dry
            return []

    def _platform(self, reference: str) -> str:
        """What `docker save` is told of the image; "" if nothing, or if it is not there, as under --dry."""
        try:
            return self._engine.platform(reference) if self._engine.image_id(reference) else ""
        except EngineError:
            return ""

    def preload(self, image: Image, abandoned: Callable[[], bool]) -> None:
        """Deliver the image to nodes that are still being created, if that is possible, until `abandoned` returns True."""

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:
        kept = cache(used)
        removed = [self._remove_unused(node, kept) for node in self._nodes()]
        return sorted(set().union(*removed))

    def _has(self, node: "Container", names: Sequence[str]) -> bool:
        return containerd.has(self._engine, node, names)

    def _remove_unused(self, node: "Container", used: Callable[[], set[str]]) -> set[str]:
        return containerd.remove_unused(self._engine, self._report, node, self._app, used)

    def _pull(self, names: Sequence[str], nodes: "Sequence[Container]") -> bool:  # noqa: ARG002
        """Let nodes pull the image from the cluster's registry; False if it has none, or that fails."""
        return False

    # what differs

    @abstractmethod
    def _load_lines(self, names: Sequence[str]) -> Sequence[str]: ...

    @abstractmethod
    def _halt_lines(self) -> Sequence[str]: ...

    @abstractmethod
    def _destroy_lines(self) -> Sequence[str]: ...

    @abstractmethod
    def _create_lines(self) -> Sequence[str]: ...

    @abstractmethod
    def _resume_lines(self) -> Sequence[str]: ...

    @abstractmethod
    def _nodes(self) -> "list[Container]":
        """The nodes' containers, the one with the API server first."""

    @abstractmethod
    def _require_ours(self, nodes: "list[Container]") -> None:
        """Raises OwnershipError if the nodes are not ours."""

    def _require_usable(self, nodes: "list[Container]") -> None:
        """Raises OwnershipError if the nodes are not ours, ClusterError if the cluster can only be deleted."""
        self._require_ours(nodes)

    @abstractmethod
    def _require_creatable(self) -> None:
        """Raises ClusterError, OwnershipError before anything is changed, if the cluster cannot be created here."""

    def _complete(self, nodes: "list[Container]") -> bool:
        """Whether the creation was not interrupted."""
        return all(self._engine.has_file(node, self.mark) for node in nodes)

    def _serves(self, nodes: "list[Container]") -> bool:
        """Whether a complete cluster runs."""
        return all(node.status == "running" for node in nodes)

    def _facts(self, nodes: "list[Container]") -> Cluster:
        """The facts of a running cluster."""
        return Cluster(
            kubeconfig=self.kubeconfig,
            context=self.name,
            unreachable_hint="./inv status shows whether it runs; ./inv start starts it",
            credentials_hint=f"rm {shlex.quote(self.kubeconfig)}; ./inv start writes it anew",
            since={str(node.name): datetime.fromisoformat(node.attrs["State"]["StartedAt"]) for node in nodes},
        )

    @abstractmethod
    def _differences(self, nodes: "list[Container]") -> Mapping[str, tuple[str, str]]:
        """What only a new cluster would follow: a variable, and its wanted and actual value."""

    @abstractmethod
    def _create(self, at: Callable[[str], None]) -> None:
        """Create the cluster; what raises ProgramError is told."""

    @abstractmethod
    def _resume(self, at: Callable[[str], None]) -> None:
        """Start the stopped cluster."""

    def _restore(self) -> None:
        """Mend what a running cluster of ours can do without."""

    @abstractmethod
    def _halt(self, at: Callable[[str], None]) -> None:
        """Stop the running cluster."""

    @abstractmethod
    def _destroy(self, timeout: float) -> None:
        """Let the program that created it delete it. Raises ProgramError."""

    @abstractmethod
    def _parts(self) -> list[str]:
        """What is there of what that program creates, by kind and name."""

    @abstractmethod
    def _left(self) -> Iterable[str]:
        """What is there of the cluster, by kind and name."""

    @abstractmethod
    def _remove_rest(self) -> None:
        """Remove what is ours besides."""

    @abstractmethod
    def _load(self, names: list[str], nodes: "list[Container]") -> None:
        """Load the image of these names from the engine into the nodes."""


def foreign(what: str, why: str = "was not created by these tasks") -> OwnershipError:
    return OwnershipError(f"{what} exists and {why}.", "Choose another name: INVOKE_CLUSTER_NAME=NAME ./inv ...")


def _why(error: ProgramError) -> str:
    """The program's own last error, or the end of what it said: kubeadm prints a stack of Go's after it."""
    told = DECISIVE.findall(error.output)
    return f"{told[-1]}\n  full log: {error.log}" if told and error.log else error.sentence
