"""A cluster for tests, and the removal of what they created. Failures raise TaskError, with the project's own commands."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kubetasks.errors import ImageError, SettingError
from kubetasks.kube import objects, states
from kubetasks.kube.client import Object, path, reference
from kubetasks.pipeline import app, candidates, desired, diagnose
from kubetasks.pipeline import cluster as pipeline
from kubetasks.pipeline.run import Run
from kubetasks.project import settings
from kubetasks.project.application import Project
from kubetasks.project.settings import Settings
from kubetasks.project.words import speak
from kubetasks.setup import requirements
from kubetasks.terminal import shell
from kubetasks.terminal.door import nowhere
from kubetasks.terminal.report import Report
from kubetasks.testing.ledger import Entry, Ledger

KUBECTL_SECONDS = 600  # longer than a test waits with kubectl's --timeout


@dataclass(frozen=True)
class Cluster:
    """A cluster for the tests of a project.

    `given` has its settings, such as "cluster.name"; the others come from the variables in `environment`. Everything is noted in
    the `ledger`, if there is one, before it is created, so that it can be removed in the end.
    """

    project: Project = field(repr=False)
    given: Mapping[str, str]
    ledger: Ledger | None = field(default=None, repr=False)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)

    @cached_property
    def settings(self) -> Settings:
        """All settings. Raises SettingError."""
        config: dict[str, Any] = {
            section: {
                name: self.given.get(f"{section}.{name}", self.environment.get(self.project.variable(section, name), default))
                for name, default in names.items()
            }
            for section, names in settings.DEFAULTS.items()
        }
        prefix = self.project.prefix
        return settings.read(self.project, {prefix: config} if prefix else config, self.environment)

    def run(self, namespace: str = "") -> Run:
        """Return a new run, which reads the cluster again. Commands in messages are then for this cluster and namespace."""
        speak(self.project.words)  # before the settings are read, which may fail
        chosen = replace(self.settings, namespace=namespace or self.settings.namespace)
        speak(replace(self.project.words, command=self.command(namespace)))
        return Run(chosen, Report(), agreed=True)

    def command(self, namespace: str = "") -> str:
        """Return what the user types before the name of a task to run it on this cluster, in that namespace if one is given."""
        own = {"cluster.provider": self.settings.provider, "cluster.name": self.settings.cluster}
        theirs = {f"cluster.{name}": getattr(self.settings, name) for name in ("provider", "context", "kubeconfig")}
        chosen = {**(theirs if self.settings.context else own), "app.namespace": namespace}
        words = [f"{self.project.variable(*name.split('.'))}={value}" for name, value in chosen.items() if value]
        return " ".join([*words, self.project.command])

    @property
    def shared(self) -> bool:
        """Whether it is an existing cluster, which other users may share."""
        return self.run().provider.shared

    @property
    def name(self) -> str:
        """The cluster's name, or the context of an existing cluster."""
        return self.run().provider.name

    @property
    def kubeconfig(self) -> Path:
        """The path of its kubeconfig; for an existing cluster possibly several paths, separated by colons as in KUBECONFIG."""
        return Path(self.run().provider.kubeconfig)

    @property
    def context(self) -> str:
        """Its context in the kubeconfig. Raises ClusterError if it is not running."""
        return self.run().cluster.context

    def entry(self, **what: str) -> Entry:
        """Return the ledger entry for this cluster, with `what` added."""
        app, used = self.project.application, self.settings
        project = {"name": app.name, "folder": str(self.project.folder), "owner": app.owner.name}
        given = {"cluster.provider": used.provider} | (
            {"cluster.context": used.context, "cluster.kubeconfig": used.kubeconfig}
            if self.shared
            else {"cluster.name": used.cluster}
        )
        return {"project": project | {"prefix": self.project.prefix, "command": self.project.command}, "given": given, **what}

    def note(self, **what: str) -> None:
        """Note in the ledger what is about to be created for this cluster."""
        if self.ledger:
            self.ledger.note(self.entry(**what))

    def note_images(self, run: Run) -> None:
        """Note the images that are about to be built, except those that existed before any test run."""
        for name in (image.reference for image in run.images):
            if run.engine.image_id(name) is None or (self.ledger and self.ledger.named_elsewhere(name)):
                self.note(image=name)

    def start(self, *, with_image: bool = False) -> None:
        """Start the cluster, creating it if necessary; an existing cluster must answer. Raises SettingError, ClusterError.

        `with_image`: also build and deliver the images meanwhile, because the application will be deployed soon.
        """
        run = self.run()
        desired.check(run.app, run.manifests, exposed=True)
        if self.shared:
            run.kube.version()
            return
        self.note()
        if not with_image:
            pipeline.ensure(run)
            return
        with suppress(ImageError):  # the deployment will report it
            self.note_images(run)
            app.prepare(run, tagged=False)

    def delete(self) -> None:
        """Delete the cluster with everything in it. Raises ClusterError, OwnershipError, LeftoverError."""
        pipeline.delete(self.run())

    def kubectl(self, *words: str, namespace: str = "", stdin: str = "", timeout: float = KUBECTL_SECONDS) -> str:
        """Run kubectl and return its output. Raises ProgramError, with its messages, if it fails or exceeds `timeout` seconds."""
        argv, environment = self.command_line(*words, namespace=namespace)
        with tempfile.TemporaryFile() as given:
            given.write(stdin.encode())
            given.seek(0)
            return shell.run(argv, env=environment, stdin=given, timeout=timeout)

    def command_line(self, *words: str, namespace: str = "") -> tuple[list[str], dict[str, str]]:
        """Return the words of a kubectl command, and the environment variables that it needs. Raises ClusterError."""
        run = self.run()
        where = ["--context", run.cluster.context, *(["--namespace", namespace] if namespace else [])]
        return [requirements.kubectl().reference, *where, *words], {"KUBECONFIG": run.provider.kubeconfig}

    @property
    def api(self) -> Any:
        """A configured kubernetes.client.ApiClient."""
        return self.run().kube.api

    def load_image(self, reference: str) -> None:
        """Load an image from this machine's engine into the nodes. Raises ImageError, SettingError on an existing cluster."""
        run = self.run()
        if self.shared:
            raise SettingError("The nodes of an existing cluster pull their images.", "Push it to a registry")
        if run.host_engine.image_id(reference) is None:
            raise ImageError(f"{reference} is not in this machine's engine.", f"docker pull {reference}, or build it")
        run.provider.supply([reference])

    def create_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a namespace with these labels and the owner's."""
        run = self.run()
        self.note(namespace=name)
        metadata = {"name": name, "labels": {**labels, **run.app.owner.labels}}
        objects.apply(run.kube, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def delete_namespace(self, name: str, *, wait: bool) -> None:
        """Delete a namespace with the owner's label, its services first, so that other services can get their addresses."""
        run = self.run()
        if namespace := objects.read_owned(run.kube, reference("Namespace", name)):
            if self.shared:  # any other cluster is deleted as a whole
                objects.start_deletion(run.kube, candidates.outside(self.run(name)))
            run.kube.request("DELETE", path("Service", name))
            if wait:
                objects.delete(run.kube, [namespace], run.settings.timeout, nowhere)
            else:
                run.kube.request("DELETE", path("Namespace", name=name))

    def diagnosis(self, namespace: str, first: Sequence[Object] = ()) -> str:
        """Diagnose these objects, then the namespace, and return one screen of text."""
        return diagnose.of_namespace(self.run(namespace), first).text()


def of_entry(entry: Entry) -> Cluster:
    """Return the cluster of a ledger entry, regardless of the INVOKE_ variables that are set now."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INVOKE_")}
    return Cluster(Project.of(**entry["project"]), entry["given"], environment=environment)


def remove(entry: Entry, ledger: Ledger) -> None:
    """Remove what a ledger entry names, if it exists and has the owner's label. Raises TaskError.

    Keep an image that another run than that of the `ledger` has noted too.
    """
    cluster = of_entry(entry)
    if "image" in entry:
        if not ledger.named_elsewhere(entry["image"]):
            _remove_image(cluster.run(), entry["image"])
    elif "namespace" not in entry:
        cluster.delete()
    elif cluster.shared:  # any other namespace is deleted with its cluster
        cluster.delete_namespace(entry["namespace"], wait=True)


def _remove_image(run: Run, reference: str) -> None:
    """Remove an image reference, those that pushes added, and the untagged image left if two workers built it at once."""
    engine = run.host_engine
    wanted, repository = engine.image_id(reference), reference.partition(":")[0]
    for name in engine.image_tags(repository):
        if engine.image_id(name) == wanted and (name == reference or not name.startswith(f"{repository}:")):
            engine.remove_image(name)
    engine.remove_dangling()


def kept(entry: Entry) -> str:
    """Return how to reach what was kept and how to remove it; "" for an image, or if it no longer exists."""
    cluster, namespace = of_entry(entry), entry.get("namespace", "")
    if "image" in entry or cluster.run().provider.phase() == "missing":
        return ""
    kubectl = f"KUBECONFIG={cluster.kubeconfig} kubectl --context {cluster.context}"
    if namespace:
        item = cluster.run().kube.get("Namespace", namespace)
        if item is None or states.terminating(item):
            return ""
        return f"Kept namespace {namespace}: {kubectl} --namespace {namespace} get pods" + (
            f"\n  {kubectl} delete namespace {namespace} removes it" if cluster.shared else ""
        )
    return f"Kept cluster {cluster.name}: {kubectl} get pods --all-namespaces\n  {cluster.command()} delete removes it"
