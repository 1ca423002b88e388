"""One pytest run: the first of its processes to request the cluster creates it; it is removed when the run ends."""

import hashlib
import json
import secrets
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock

from kubetasks.errors import SettingError, SetupError, TaskError
from kubetasks.project.application import LONGEST_NAME, Project
from kubetasks.project.words import speak
from kubetasks.setup import inventory
from kubetasks.terminal.report import Report
from kubetasks.testing import shared_folder
from kubetasks.testing.cluster import Cluster, kept, remove
from kubetasks.testing.ledger import Entry, Ledger, remove_dead

BROKEN = "broken"  # the JSON key of the reason why something shared could not be created
FIRST_PORT, PORTS = 20000, 9000  # the user's own clusters are unlikely to use them


class BrokenError(Exception):
    """Something that the run's processes share could not be created; the text says why, with the traceback if it is a bug."""


class Session:
    """The run that this process belongs to. It changes nothing before its first cluster is requested.

    `token` is part of the names of its clusters. `given` are the settings from pytest's options.
    """

    def __init__(self, token: str, given: Mapping[str, str], *, keep: bool) -> None:
        self.token = token
        self.keep = keep
        self.ledger = Ledger(token)
        self._given = dict(given)
        self._folder = shared_folder(token)

    def cluster(self, project: Project, *, with_image: bool = False) -> Cluster:
        """Return the run's cluster for the project, started; `with_image` is that of `Cluster.start`.

        Raises SetupError if this machine lacks something, BrokenError if an earlier attempt failed, or another TaskError.
        """
        self.ledger.hold()
        whose = hashlib.sha256(project.application.owner.name.encode()).hexdigest()[:4]  # two applications may have the same name
        name = f"cluster-{project.application.name}-{whose}"
        given = once(self._folder, name, lambda: self._start(self._new(project, whose), with_image=with_image))
        return Cluster(project, given, self.ledger)

    def throwaway(self, project: Project, nodes: int, kind: str) -> Cluster:
        """Create and start a cluster for one test alone. Raises SettingError if a context is given, or another TaskError."""
        chosen = replace(project, kind=project.folder / kind) if kind else project
        cluster = self._new(chosen, secrets.token_hex(2), {"cluster.nodes": str(nodes)})
        if cluster.shared:
            raise SettingError("An existing cluster cannot be a throwaway cluster.", "Run without --kubetasks-context")
        self._start(cluster)
        return cluster

    def _new(self, project: Project, suffix: str, given: Mapping[str, str] = {}) -> Cluster:
        """Return a cluster that does not exist yet, or the existing one if a context is given."""
        name = f"{project.application.name[: LONGEST_NAME - 13]}-{self.token}{suffix}"
        own = {"cluster.name": name, "cluster.port": str(FIRST_PORT + secrets.randbelow(PORTS))}
        return Cluster(project, {**self._given, **own, **given}, self.ledger)

    def _start(self, cluster: Cluster, *, with_image: bool = False) -> dict[str, str]:
        self._folder.mkdir(parents=True, exist_ok=True)
        run = cluster.run()
        speak(cluster.project.words)  # what this machine lacks does not depend on this cluster
        lacking = [item for item in inventory.look(run.settings, run.provider.requirements) if not item.present]
        if lacking:
            names = ", ".join(item.name for item in lacking)
            raise SetupError(f"Missing on this machine: {names}.", inventory.remedies(run.settings, lacking))
        for problem in remove_dead(remove):
            run.report.say(f"What a killed run left could not be removed: {problem}")
        cluster.start(with_image=with_image)
        return dict(cluster.given)

    def end(self) -> list[str]:
        """Remove everything the run created, once its other processes have ended; return what could not be removed, and why.

        With `keep`, print how to reach it instead.
        """
        return self.ledger.end(_tell if self.keep else remove)


def _tell(entry: Entry, _ledger: Ledger) -> None:
    words = kept(entry)
    if words:
        Report().say(words)


def once(folder: Path, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `make` returned in the first process that asked for this name; the folder keeps it, as JSON.

    If `make` raises an error, it is raised here too, and each process that asks later gets a BrokenError with its message.
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
            result = make()
        except BaseException as error:
            words = str(error.message) if isinstance(error, TaskError) else traceback.format_exc()
            file.write_text(json.dumps({BROKEN: words}))
            raise
        file.write_text(json.dumps(result))
        return result
