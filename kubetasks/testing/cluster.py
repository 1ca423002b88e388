"""A cluster, and the application in a namespace of it, as values. Whatever fails raises TaskError."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kubetasks.engine.image import Image
from kubetasks.kube import objects
from kubetasks.kube.client import path
from kubetasks.pipeline import build, converge, diagnose, seen
from kubetasks.pipeline import cluster as pipeline
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from kubetasks.project import settings
from kubetasks.project.application import Project
from kubetasks.project.settings import Settings
from kubetasks.setup import requirements
from kubetasks.terminal.report import Report

KUBECTL_SECONDS = 60


@dataclass(frozen=True)
class Cluster:
    """A cluster for tests of a project. `given` has its settings, such as "cluster.name"; variables give the others.

    `noting` notes what is about to be created, so that it is removed in the end.
    """

    project: Project
    given: Mapping[str, str]
    noting: Callable[..., None] = lambda **_: None

    def note(self, **what: str) -> None:
        """Note what is about to be created for this cluster."""
        self.noting(project=describe(self.project), given=dict(self.given), **what)

    @cached_property
    def settings(self) -> Settings:
        """All settings. Raises SettingError."""
        config: dict[str, Any] = {
            section: {
                name: self.given.get(f"{section}.{name}", os.environ.get(self.project.variable(section, name), default))
                for name, default in names.items()
            }
            for section, names in settings.DEFAULTS.items()
        }
        return settings.read(self.project, {self.project.prefix: config} if self.project.prefix else config)

    def run(self, namespace: str = "") -> Run:
        """What the pipeline works on. It asks the cluster anew."""
        return Run(replace(self.settings, namespace=namespace or self.settings.namespace), Report(), agreed=True)

    @property
    def name(self) -> str:
        """The cluster's name, or its context if it is one of others."""
        return self.run().provider.name

    @property
    def kubeconfig(self) -> Path:
        return Path(self.run().provider.kubeconfig)

    @property
    def context(self) -> str:
        """Its context in the kubeconfig."""
        return self.run().cluster.context

    def start(self) -> None:
        """Start the cluster, created first if there is none; one of others must answer. Raises TaskError."""
        run = self.run()
        if run.provider.shared:
            run.kube.version()
            return
        self.note()
        pipeline.ensure(run)

    def delete(self) -> None:
        """Delete the cluster with everything in it. Raises ClusterError, OwnershipError, LeftoverError."""
        pipeline.delete(self.run())

    def kubectl(self, *words: str, namespace: str = "", stdin: str = "") -> str:
        """What kubectl prints. Raises CalledProcessError, with its words in `stderr`, if it fails."""
        where = ["--kubeconfig", str(self.kubeconfig), "--context", self.context]
        argv = [requirements.kubectl().reference, *where, *(["--namespace", namespace] if namespace else []), *words]
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=True, timeout=KUBECTL_SECONDS).stdout

    def create_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a namespace of the owner's with these labels too."""
        run = self.run()
        if run.provider.shared:  # any other goes with its cluster
            self.note(namespace=name)
        metadata = {"name": name, "labels": {**labels, **run.app.owner.labels}}
        objects.apply(run.kube, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def delete_namespace(self, name: str, *, wait: bool) -> None:
        """Delete a namespace of the owner's; its services at once, so that others may have their addresses."""
        run = self.run()
        if objects.there(run.kube, "Namespace", name) is None:
            return
        run.kube.request("DELETE", path("Service", name))
        if wait:
            objects.delete(run.kube, "Namespace", name, "", run.settings.timeout, lambda _detail: None)
        else:
            run.kube.request("DELETE", path("Namespace", name=name))

    def diagnosis(self, namespace: str) -> str:
        """What is wrong in the namespace, on one screen."""
        found = diagnose.now(self.run(namespace))
        return found.text() if found else ""


def describe(project: Project) -> dict[str, str]:
    """What JSON can carry of a project: enough to remove what was created for it."""
    names = {"name": project.application.name, "folder": str(project.folder), "owner": project.application.owner.name}
    return {**names, "prefix": project.prefix, "command": project.command}


def remove(entry: Mapping[str, Any]) -> None:
    """Remove what a note says was about to be created, if it is there and the owner's. Raises TaskError."""
    cluster = Cluster(Project.of(**entry["project"]), entry["given"])
    if "image" in entry:
        run = cluster.run()
        engine, wanted = run.host_engine, run.host_engine.image_id(entry["image"])
        for name in engine.image_tags(run.app.name):  # two workers that push it leave another name
            if engine.image_id(name) == wanted:
                engine.remove_image(name)
        engine.remove_dangling()  # and two that build it at the same time one without
    elif "namespace" in entry:
        cluster.delete_namespace(entry["namespace"], wait=True)
    else:
        cluster.delete()


@dataclass(frozen=True)
class App:
    """The application in a namespace of a cluster."""

    cluster: Cluster
    namespace: str

    def _run(self) -> Run:
        return self.cluster.run(self.namespace)

    @property
    def url(self) -> str:
        """A URL that answers, the preferred one if there are several. Raises ExposeError if none does."""
        return seen.address(self._run(), answering=True).url

    @property
    def urls(self) -> dict[str, str]:
        """Each URL at which it may answer, by "mapped port", "load balancer" or "node port"."""
        run = self._run()
        found = seen.find_service(run)
        return {one.way: one.url for one in seen.addresses(run, found)} if found else {}

    def pods(self) -> frozenset[str]:
        """The names of the pods that get its service's requests."""
        return seen.ready_pods(self._run())

    def scale(self, replicas: int) -> None:
        """Scale, and wait until every pod answers. Raises RolloutError with a diagnosis, ExposeError."""
        converge.converge(self._run(), Desired(replicas=replicas), serve="always")

    def rollout(self, source: Path | None = None) -> str:
        """Build that folder, by default the project's own, roll it out, and wait until its pods answer; return its build id.

        Raises ImageError, RolloutError with a diagnosis, ExposeError.
        """
        run = self._run()
        if source:
            project = run.project
            changed = replace(project, application=replace(project.application, source=source.resolve()))
            run.settings = replace(run.settings, project=changed)
        converge.converge(run, Desired(image=self._built(run)), run.image.build, "always")
        return run.image.build

    def deploy(self) -> None:
        """Build, deploy and expose it. Raises what `rollout` raises."""
        run = self._run()
        converge.converge(run, Desired(image=self._built(run), exposed=True), run.image.build, "always")

    def _built(self, run: Run) -> Image:
        if run.engine.image_id(run.image.reference) is None:
            self.cluster.note(image=run.image.reference)
        return build.build(run, tagged=False)

    def kubectl(self, *words: str, stdin: str = "") -> str:
        """What kubectl prints for this namespace."""
        return self.cluster.kubectl(*words, namespace=self.namespace, stdin=stdin)
