"""A cluster, and the application in a namespace of it, as values. Whatever fails raises TaskError, in the project's own words."""

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

KUBECTL_SECONDS = 600  # more than a test waits for with --timeout


@dataclass(frozen=True)
class Cluster:
    """A cluster for tests of a project.

    `given` has its settings, such as "cluster.name", and `environment` the others. What is about to be created is noted in the
    `ledger`, if there is one, so that it is removed in the end.
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
        """A new run of the pipeline, which asks the cluster anew. Messages say what a person types for it from now on."""
        speak(self.project.words)  # the settings may be what is wrong
        chosen = replace(self.settings, namespace=namespace or self.settings.namespace)
        speak(replace(self.project.words, command=self.command(namespace)))
        return Run(chosen, Report(), agreed=True)

    def command(self, namespace: str = "") -> str:
        """The words to type before the name of a task, for this cluster and that namespace of it."""
        own = {"cluster.provider": self.settings.provider, "cluster.name": self.settings.cluster}
        theirs = {f"cluster.{name}": getattr(self.settings, name) for name in ("provider", "context", "kubeconfig")}
        chosen = {**(theirs if self.settings.context else own), "app.namespace": namespace}
        words = [f"{self.project.variable(*name.split('.'))}={value}" for name, value in chosen.items() if value]
        return " ".join([*words, self.project.command])

    @property
    def shared(self) -> bool:
        """Whether it is an existing cluster, which others use."""
        return self.run().provider.shared

    @property
    def name(self) -> str:
        """The cluster's name, or its context if it is an existing one."""
        return self.run().provider.name

    @property
    def kubeconfig(self) -> Path:
        """The path of its kubeconfig; of an existing one, it may be several with colons between them, as in KUBECONFIG."""
        return Path(self.run().provider.kubeconfig)

    @property
    def context(self) -> str:
        """Its context in the kubeconfig. Raises ClusterError if it does not run."""
        return self.run().cluster.context

    def entry(self, **what: str) -> Entry:
        """This cluster as an entry of the ledger."""
        app, used = self.project.application, self.settings
        project = {"name": app.name, "folder": str(self.project.folder), "owner": app.owner.name}
        given = {"cluster.provider": used.provider} | (
            {"cluster.context": used.context, "cluster.kubeconfig": used.kubeconfig}
            if self.shared
            else {"cluster.name": used.cluster}
        )
        return {"project": project | {"prefix": self.project.prefix, "command": self.project.command}, "given": given, **what}

    def note(self, **what: str) -> None:
        """Note what is about to be created for this cluster."""
        if self.ledger:
            self.ledger.note(self.entry(**what))

    def note_images(self, run: Run) -> None:
        """Note the images that are about to be built, unless they were there before any run of tests."""
        for name in (made.reference for made in run.images):
            if run.engine.image_id(name) is None or (self.ledger and self.ledger.named_elsewhere(name)):
                self.note(image=name)

    def start(self, *, with_image: bool = False) -> None:
        """Start the cluster, created first if there is none; an existing one must answer. Raises SettingError, ClusterError.

        `with_image`: the application is deployed in it soon, so its image is built and delivered meanwhile.
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
        with suppress(ImageError):  # whoever deploys it is told
            self.note_images(run)
            app.prepare(run, tagged=False)

    def delete(self) -> None:
        """Delete the cluster with everything in it. Raises ClusterError, OwnershipError, LeftoverError."""
        pipeline.delete(self.run())

    def kubectl(self, *words: str, namespace: str = "", stdin: str = "", timeout: float = KUBECTL_SECONDS) -> str:
        """Run kubectl, and return its output. Raises ProgramError, with its words, if it fails or exceeds `timeout` seconds."""
        argv, environment = self.command_line(*words, namespace=namespace)
        with tempfile.TemporaryFile() as given:
            given.write(stdin.encode())
            given.seek(0)
            return shell.run(argv, env=environment, stdin=given, timeout=timeout)

    def command_line(self, *words: str, namespace: str = "") -> tuple[list[str], dict[str, str]]:
        """The words of a command with kubectl, and the variables that it needs. Raises ClusterError."""
        run = self.run()
        where = ["--context", run.cluster.context, *(["--namespace", namespace] if namespace else [])]
        return [requirements.kubectl().reference, *where, *words], {"KUBECONFIG": run.provider.kubeconfig}

    @property
    def api(self) -> Any:
        """A configured kubernetes.client.ApiClient."""
        return self.run().kube.api

    def load_image(self, reference: str) -> None:
        """Give the nodes an image that this machine's engine has. Raises ImageError, SettingError on an existing cluster."""
        run = self.run()
        if self.shared:
            raise SettingError("The nodes of an existing cluster pull their images.", "Push it to a registry")
        if run.host_engine.image_id(reference) is None:
            raise ImageError(f"{reference} is not in this machine's engine.", f"docker pull {reference}, or build it")
        run.provider.supply([reference])

    def create_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a namespace of the owner's with these labels too."""
        run = self.run()
        self.note(namespace=name)
        metadata = {"name": name, "labels": {**labels, **run.app.owner.labels}}
        objects.apply(run.kube, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def delete_namespace(self, name: str, *, wait: bool) -> None:
        """Delete a namespace of the owner's; its services at once, so that others may have their addresses."""
        run = self.run()
        if there := objects.there(run.kube, reference("Namespace", name)):
            if self.shared:  # otherwise the cluster goes
                objects.begin_deletion(run.kube, candidates.outside(self.run(name)))
            run.kube.request("DELETE", path("Service", name))
            if wait:
                objects.delete(run.kube, [there], run.settings.timeout, nowhere)
            else:
                run.kube.request("DELETE", path("Namespace", name=name))

    def diagnosis(self, namespace: str, first: Sequence[Object] = ()) -> str:
        """Diagnose these objects and then the namespace, on one screen."""
        return diagnose.of_namespace(self.run(namespace), first).text()


def of_entry(entry: Entry) -> Cluster:
    """The cluster of a note, whatever the environment says of another one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INVOKE_")}
    return Cluster(Project.of(**entry["project"]), entry["given"], environment=environment)


def remove(entry: Entry, ledger: Ledger | None = None) -> None:
    """Remove what a note says was about to be created, if it is there and the owner's. Raises TaskError.

    Not an image that another run than that of the `ledger` has noted too.
    """
    cluster = of_entry(entry)
    if "image" in entry:
        if not (ledger and ledger.named_elsewhere(entry["image"])):
            _remove_image(cluster.run(), entry["image"])
    elif "namespace" not in entry:
        cluster.delete()
    elif cluster.shared:  # any other goes with its cluster
        cluster.delete_namespace(entry["namespace"], wait=True)


def _remove_image(run: Run, reference: str) -> None:
    """Remove an image's name, and those that pushing it has left; two workers that build it at once leave one without."""
    engine = run.host_engine
    wanted, repository = engine.image_id(reference), reference.partition(":")[0]
    for name in engine.image_tags(repository):
        if engine.image_id(name) == wanted and (name == reference or not name.startswith(f"{repository}:")):
            engine.remove_image(name)
    engine.remove_dangling()


def kept(entry: Entry) -> str:
    """How a person reaches what was kept, and what removes it; "" for an image, and for what has gone."""
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
