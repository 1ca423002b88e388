"""A provider, an engine and an API for unit tests; the same actions run on real ones in tests/core and tests/thorough."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from kubetasks.engine.client import AbsentError
from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import ClusterError
from kubetasks.kube.client import VERSIONS, Kube
from kubetasks.pipeline import probe
from kubetasks.pipeline.run import Run
from kubetasks.project.application import Application
from kubetasks.providers.base import Cluster, Phase, Provider
from kubetasks.providers.own import Own
from kubetasks.setup.requirements import Requirement
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.unit.configured import configured
from tests.unit.kube.answers import recorded

FACTS = Cluster(
    kubeconfig="kubeconfig",
    context="context",
    node_ports=False,
    unreachable_hint="look",
    credentials_hint="log in",
)


class FakeProvider(Provider):
    """A cluster of others: it has no lifecycle."""

    name = "theirs"
    kubeconfig = "/nowhere/kubeconfig"
    kubectl: tuple[str, ...] = ("--context", "theirs")
    requirements: tuple[Requirement, ...] = ()
    node_port: int | None = None
    shared = True
    program = ""
    environment: Mapping[str, str] = {}

    def __init__(self, phase: Phase | None = "running") -> None:
        self._phase = phase

    def phase(self) -> Phase:
        if self._phase is None:
            raise AbsentError("No container engine answers.")
        return self._phase

    def cluster(self) -> Cluster:
        return FACTS

    def service_line(self, kubectl: Sequence[str]) -> str:
        return f"kubectl {' '.join(kubectl)}"

    def deliver_lines(self, image: Image) -> Sequence[str]:
        return (f"load {image.reference}",)

    def delivered(self, image: Image) -> Delivered:
        return Delivered(image.reference, pulled=False)

    def deliver(self, image: Image) -> Delivered:
        return self.delivered(image)

    def supply(self, references: Sequence[str]) -> None:
        """A cluster of others pulls its own."""

    def supply_lines(self, references: Sequence[str]) -> Sequence[str]:
        return [f"load {one}" for one in references]

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:  # noqa: ARG002
        return []


class OwnProvider(FakeProvider):
    """A cluster of our own, which `changed` says was created or started."""

    shared = False

    def __init__(self, *, changed: bool, phase: Phase = "running") -> None:
        super().__init__(phase)
        self.facts = FACTS
        self.broken: ClusterError | None = None
        self._changed = changed
        self.called: list[str] = []

    def start_lines(self) -> Sequence[str]:
        return ("start",)

    def ended(self) -> ClusterError | None:
        return self.broken

    def start(self) -> tuple[Cluster, bool]:
        self.called.append("start")
        return self.facts, self._changed

    def preload(self, image: Image, abandoned: Callable[[], bool]) -> None:  # noqa: ARG002
        self.called.append(f"preload {image.reference}")

    def stop(self) -> bool:
        self.called.append("stop")
        return True

    def delete(self) -> bool:
        self.called.append("delete")
        return True


Own.register(OwnProvider)  # what isinstance asks


class FakeKube(Kube):
    """Objects by kind; nothing changes."""

    owner = PROJECT.application.owner
    server = "https://theirs:6443"
    kubectl_line = "kubectl --context theirs"

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        self._objects = objects
        self.silent: dict[str, str] = {}  # pods that do not answer the API server, and why

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:  # noqa: ARG002
        return next((item for item in self._objects.get(kind, []) if item["metadata"]["name"] == name), None)

    def list(self, kind: str, namespace: str = "", **selectors: str) -> list[dict[str, Any]]:  # noqa: ARG002
        return self._objects.get(kind, [])

    def ask_pod(self, namespace: str, pod: str, port: int, target: str) -> str:  # noqa: ARG002
        return self.silent.get(pod, "")

    def version(self) -> str:
        return "v1.36.3"

    def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:  # noqa: ARG002
        return f"the log of {container} in {namespace}/{pod}, {lines} lines"


NAMESPACE = [{"metadata": {"name": "default"}}]


def nodes() -> dict[str, list[dict[str, Any]]]:
    """A node that is ready."""
    return {"Node": recorded("nodes")["nodes"], "Lease": recorded("leases")["leases"]}


class LiveKube(FakeKube):
    """An API whose controllers are done at once: of three recorded pods, as many as are wanted are ready and get requests.

    `done` is what was changed, in order; between it "nodes" and "pods", where somebody looked whether they are ready, and
    "asked", where somebody sent a request to an address.
    """

    def __init__(self, **objects: list[dict[str, Any]]) -> None:
        super().__init__(**nodes(), Namespace=NAMESPACE, **objects)
        self.done: list[str] = []
        self.build = ""  # that pods serve, if it is not the one that is deployed
        self._ready, (self._slice,) = recorded("ready"), recorded("endpointslices")
        self._requests = 0
        usual = self._ready["deployment"]
        self._begun = {"Deployment": {**usual, "spec": {"replicas": 1}}, "Service": recorded("service")}

    def _note(self, what: str) -> None:
        if self.done[-1:] != [what]:
            self.done.append(what)

    @property
    def _pods(self) -> list[dict[str, Any]]:
        return [pod for one in self._objects.get("Deployment", []) for pod in self._ready["pods"][: one["spec"]["replicas"]]]

    def list(self, kind: str, namespace: str = "", **selectors: str) -> list[dict[str, Any]]:
        if looked := {"Lease": "nodes", "Pod": "pods"}.get(kind):
            self._note(looked)
        if kind == "EndpointSlice":
            names = [pod["metadata"]["name"] for pod in self._pods]
            return [{**self._slice, "endpoints": [one for one in self._slice["endpoints"] if one["targetRef"]["name"] in names]}]
        return {"Pod": self._pods, "ReplicaSet": self._ready["replica_sets"]}.get(kind) or super().list(
            kind, namespace, **selectors
        )

    def request(self, method: str, target: str, _query: object = None, body: Any = None, _type: str = "") -> Any:
        *_, kinds, name = target.removesuffix("/scale").split("/")
        kind = next(one for one in VERSIONS if f"{one.lower()}s" == kinds)
        there = self.get(kind, name)
        if method == "GET":
            return there
        self._note(f"scale to {body['spec']['replicas']}" if target.endswith("/scale") else f"{kind.lower()}/{name}")
        self._objects[kind] = [one for one in self._objects.get(kind, []) if one["metadata"]["name"] != name]
        if method == "DELETE":
            return {}
        base = there or self._begun.get(kind, {"metadata": {"uid": name}})
        spec = {**base.get("spec", {}), **body.get("spec", {})}
        version = there["metadata"]["resourceVersion"] if there and there["spec"] == spec else str(len(self.done))
        made = {**base, "metadata": {**base["metadata"], **body.get("metadata", {}), "resourceVersion": version}, "spec": spec}
        if kind == "Deployment":
            counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), spec["replicas"])
            made["status"] = {**base["status"], **counts}
        self._objects[kind].append(made)
        return made

    def _answer(self, app: Application, *_given: object, **_more: object) -> dict[str, str]:
        """What a request to an address gets: the next pod answers, with its build."""
        self._note("asked")
        self._requests += 1
        pods = self._pods
        image = self._objects["Deployment"][0]["spec"]["template"]["spec"]["containers"][0]["image"]
        return {
            app.pod_key: pods[self._requests % len(pods)]["metadata"]["name"],
            "build": self.build or image.rpartition(":")[2],
        }

    def serve(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on requests to addresses are answered."""
        monkeypatch.setattr(probe, "ask", self._answer)


class FakeEngine:
    """An engine with those images; a build calls `building` with what is to be called for each line of its output."""

    def __init__(self, *images: str) -> None:
        self.images = {*images}
        self.building: Callable[[Callable[[str], None]], object] = lambda _on_line: None

    def image_id(self, reference: str) -> str | None:
        return "sha256:1" if reference in self.images else None

    def image_tags(self, repository: str) -> list[str]:
        return sorted(one for one in self.images if one.startswith(f"{repository}:"))

    def asks_for_buildkit(self) -> bool:
        return False

    def build(self, _context: object, names: list[str], _arguments: object, on_line: Callable[[str], None], *_: object) -> None:
        self.building(on_line)
        self.images.update(names)

    def users(self, _reference: str) -> list[str]:
        return []

    def remove_image(self, reference: str) -> None:
        self.images.remove(reference)

    def remove_dangling(self) -> None:
        pass


class RefusedError(Exception):
    """Somebody was asked, and did not agree."""


class Refusing(Report):
    """Nobody agrees."""

    def agrees(self, question: str) -> bool:
        raise RefusedError(question)


def run_on(
    provider: FakeProvider,
    kube: FakeKube | None = None,
    *,
    dry: bool = False,
    app: Application = PROJECT.application,
    engine: FakeEngine | None = None,
) -> Run:
    """A run in which nobody agrees to a change of the cluster of others."""
    project = dataclasses.replace(PROJECT, application=app)
    environment = {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}  # a test's own: conftest.py
    made = Run(configured(app.source, environment, project), Refusing(dry=dry))
    made.provider = provider
    made.kube = kube or FakeKube()
    if engine:
        made.engine = made.host_engine = engine  # type: ignore[assignment]
    return made
