"""One run of pytest: its cluster is made once, whichever of its processes asks first, and removed when the run ends."""

import json
import secrets
import shutil
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import filelock

from kubetasks.errors import SetupError, TaskError
from kubetasks.project.application import LONGEST_NAME, Project
from kubetasks.setup import inventory
from kubetasks.terminal.report import Report
from kubetasks.testing.cluster import Cluster, remove
from kubetasks.testing.ledger import Ledger, remove_dead

BROKEN = "broken"  # why something that the processes share could not be made
FIRST_PORT, PORTS = 20000, 9000  # of 127.0.0.1, which a person's cluster is unlikely to want


class BrokenError(Exception):
    """What the processes of a run share could not be made; the text says why, with the traceback of a failure of ours."""


class Session:
    """The run that this process belongs to. Nothing is touched before its first cluster.

    `token` is in the names of all that it creates, and `folder` what its processes share. `given` are the settings that the
    options of pytest give.
    """

    def __init__(self, token: str, folder: Path, given: Mapping[str, str], *, keep: bool) -> None:
        self.token = token
        self.keep = keep
        self._given = dict(given)
        self._folder = folder
        self._ledger = Ledger(token)

    def cluster(self, project: Project) -> Cluster:
        """The run's cluster for the project, started. Raises SetupError if this machine lacks something, BrokenError."""
        name = f"cluster-{project.application.name}"
        given = once(self._folder, name, lambda: self._start(self._new(project, "")))
        return Cluster(project, given, self._ledger.note)

    def throwaway(self, project: Project, nodes: int) -> Cluster:
        """A cluster of its own for one test, started. Raises TaskError."""
        made = self._new(project, secrets.token_hex(2), {"cluster.nodes": str(nodes)})
        self._start(made)
        return made

    def _new(self, project: Project, suffix: str, given: Mapping[str, str] = {}) -> Cluster:
        """One that does not exist yet, unless it is a context of others."""
        if self._given.get("cluster.provider") == "existing":
            return Cluster(project, {**self._given, **given}, self._ledger.note)
        name = f"{project.application.name[: LONGEST_NAME - 13]}-{self.token}{suffix}"
        own = {"cluster.name": name, "cluster.port": str(FIRST_PORT + secrets.randbelow(PORTS))}
        return Cluster(project, {**self._given, **own, **given}, self._ledger.note)

    def _start(self, cluster: Cluster) -> dict[str, str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        run = cluster.run()
        lacking = [item for item in inventory.look(run.settings, run.provider.requirements) if not item.present]
        if lacking:
            names, remedies = ", ".join(item.name for item in lacking), "; ".join({item.remedy: None for item in lacking})
            missing = SetupError(f"This machine lacks: {names}.", remedies)
            missing.message = cluster.project.spoken(str(missing.message))
            raise missing
        remove_dead(remove)
        cluster.start()
        return dict(cluster.given)

    def end(self) -> list[str]:
        """Remove what the run has created, called once all its other processes have ended; return what could not be, and why.

        What is to be kept is told instead.
        """
        problems: list[str] = []

        def end_one(entry: Mapping[str, Any]) -> None:
            try:
                remove(entry)
            except TaskError as error:
                problems.append(str(error.message))

        if self._ledger.path.exists():
            self._ledger.end(_kept if self.keep else end_one)
        shutil.rmtree(self._folder, ignore_errors=True)
        return problems


def once(folder: Path, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `make` returned to the first process that asked for that name in the folder, as JSON.

    If it raises something, so does this; each process that asks later gets a BrokenError with its words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    with filelock.FileLock(file.with_suffix(".lock")):
        if file.exists():
            known: dict[str, Any] = json.loads(file.read_text())
            if BROKEN in known:
                raise BrokenError(known[BROKEN])
            return known
        try:
            made = make()
        except BaseException as error:
            words = str(error.message) if isinstance(error, TaskError) else traceback.format_exc()
            file.write_text(json.dumps({BROKEN: words}))
            raise
        file.write_text(json.dumps(made))
        return made


def _kept(entry: Mapping[str, Any]) -> None:
    cluster = Cluster(Project.of(**entry["project"]), entry["given"])
    if "image" in entry:
        return
    where = f" namespace {entry['namespace']} of" if "namespace" in entry else ""
    prefix = cluster.project.variable("cluster", "name")
    Report().say(
        f"Kept:{where} cluster {cluster.name}\n"
        f"  export KUBECONFIG={cluster.kubeconfig}; kubectl get pods --all-namespaces\n"
        f"  {prefix}={cluster.name} {cluster.project.command} delete removes the cluster"
    )
