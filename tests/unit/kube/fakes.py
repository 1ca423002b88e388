"""An API for unit tests: objects that stay as they are, or controllers that are done at once."""

from typing import Any

import pytest

from kubetasks.kube.client import VERSIONS, Kube
from kubetasks.pipeline import probe
from kubetasks.project.application import Application
from tasks import PROJECT
from tests.unit.kube.answers import recorded


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
        if method == "DELETE" and there and there["metadata"].get("finalizers"):
            return there
        self._objects[kind] = [one for one in self._objects.get(kind, []) if one["metadata"]["name"] != name]
        if method == "DELETE":
            return {}
        base = there or self._begun.get(kind, {"metadata": {"uid": name}})
        spec = {**base.get("spec", {}), **body.get("spec", {})}
        version = there["metadata"]["resourceVersion"] if there and there["spec"] == spec else str(len(self.done))
        metadata = {**base["metadata"], **body.get("metadata", {}), "resourceVersion": version}
        made = {**base, **body, "metadata": metadata, "spec": spec}
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
