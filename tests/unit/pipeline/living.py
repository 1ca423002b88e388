"""A cluster in memory: an API whose controllers finish at once, pods that answer, and an engine with images."""

import copy
import dataclasses
import hashlib
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kubetasks.engine import access
from kubetasks.engine.client import AbsentError, Created
from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import ClusterError
from kubetasks.kube import kubectl
from kubetasks.kube.client import CLUSTER_WIDE, KNOWN, VERSIONS, ApiError, Kube, Object, Resource
from kubetasks.pipeline import judge, nodes, probe
from kubetasks.pipeline.run import Run
from kubetasks.project.application import Application, Source
from kubetasks.providers.base import Cluster, Phase, Provider
from kubetasks.providers.own import Own
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Artifact
from kubetasks.terminal.door import Door
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.unit.configured import configured
from tests.unit.engine.fakes import FakeEngine

KINDS = {f"{kind.lower()}s": kind for kind in VERSIONS}
BALANCED = "172.18.255.223"
NODE_STATUS = {
    "conditions": [{"type": "Ready", "status": "True"}],
    "addresses": [{"type": "Hostname", "address": "node"}, {"type": "InternalIP", "address": "10.0.0.1"}],
}
BEGUN = "2026-11-25T12:00:00Z"
CRASHED = {"terminated": {"reason": "Error", "exitCode": 1, "finishedAt": BEGUN}}
NODE_PORT, PORT = 30080, 8080
PARTS = """\
{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {colour: blue}}
---
{apiVersion: v1, kind: Secret, metadata: {name: password}, stringData: {password: secret}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: migrate}, spec: {ttlSecondsAfterFinished: 0, template: {spec: {containers: [
  {name: migrate, image: simple-server, envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: password}}]}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: a-worker}, spec: {selector: {matchLabels: {app: worker}}, template: {
  metadata: {labels: {app: worker}}, spec: {containers: [
  {name: worker, image: simple-server, envFrom: [{configMapRef: {name: settings}}]}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: database}, spec: {selector: {matchLabels: {app: database}}, template: {
  metadata: {labels: {app: database}}, spec: {initContainers: [{name: prepare, image: "busybox:1"}], containers: [
  {name: database, image: "postgres:17"}, {name: newest, image: envoy, imagePullPolicy: Always}]}}}}
"""
MAILER = """\
{apiVersion: apps/v1, kind: Deployment, metadata: {name: mailer}, spec: {selector: {matchLabels: {app: mailer}}, template: {
  metadata: {labels: {app: mailer}}, spec: {initContainers: [{name: wait, image: "simple-server:v1"}], containers: [
  {name: mailer, image: "org/mailer:latest"}, {name: proxy, image: other/mailer}]}}}}
"""
CLAIM = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {accessModes: [ReadWriteOnce]}}\n---\n"
SIDECAR = "      containers:\n        - {name: proxy, image: 'envoy:1'}\n"


class LivingKube(Kube):
    """Objects by kind, namespace and name. Pods with an image in `broken` do not start, for the reason given there.

    `asked` lists the requests, `done` the changes. `answering` is "pods" (the service's), "another build" (such pods), "nobody",
    "for ever" (a pod that does not exist, at any address) or "first" (the pods, to early requests only). `silent` is the status
    of pods' answers to the API server, or 0 for 200. `meanwhile` has what happens before the next request that starts so.
    """

    owner = PROJECT.application.owner
    kubectl_line = "kubectl"
    server = "https://127.0.0.1:6443"

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Object] = {}
        self._resources: dict[tuple[str, str], Resource] = {}
        self.broken: dict[str, str] = {}
        self.answering = "pods"
        self.balanced = True  # whether a service gets an address from a load balancer
        self.silent = 0
        self.last_words = "second line"  # the last line of each log
        self.meanwhile: list[tuple[str, Callable[[], object]]] = []
        self.asked: list[tuple[str, str, Any, Any, str]] = []
        self.done: list[str] = []
        self._versions = itertools.count(1)
        for kind, namespace, name, more in (
            ("Namespace", "", "default", {}),
            ("Node", "", "node", {"spec": {}, "status": NODE_STATUS}),
            ("Lease", "kube-node-lease", "node", {"spec": {"renewTime": BEGUN}}),
        ):
            self._put(kind, namespace, name, copy.deepcopy(more))

    def unbalance(self) -> None:
        """Take the load balancer's address away from services."""
        self.balanced = False
        self._reconcile()

    # requests

    def request(
        self, method: str, target: str, query: Any = None, body: Any = None, content: str = "", accept: str = ""
    ) -> Object:
        self.asked.append((method, target, query, body, content))
        if accept:
            return {"items": self.served if target == "/apis" else []}
        kind, namespace, name, sub = self._parsed(target)
        if self.meanwhile and f"{method} {kind.lower()}/{name}".startswith(self.meanwhile[0][0]):
            self.meanwhile.pop(0)[1]()
        if kind == "version":
            return {"gitVersion": "v1.36.3"}
        key = (kind, namespace, name)
        if method == "GET" and not name:
            return {"items": [copy.deepcopy(one) for one in self.all(kind, namespace, **(query or {}))]}
        if method == "DELETE" and not name:
            self.done.append(f"DELETE all of {kind.lower()} in {namespace}")
            for one in self.all(kind, namespace):
                self._delete((kind, namespace, one["metadata"]["name"]))
            return {}
        there = self.objects.get(key)
        if there is None and isinstance(body, dict) and "uid" in body.get("metadata", {}):
            raise ApiError(method, 409, "Conflict", "uid mismatch: no existing object was found")
        if there is None and (method != "PATCH" or sub):
            raise ApiError(method, 404, "NotFound", f"{kind} {name} not found")
        if method == "GET":
            return copy.deepcopy(there or {})
        wanted = body.get("metadata", {}).get("uid") if isinstance(body, dict) else None
        if there and wanted not in (None, there["metadata"]["uid"]):
            raise ApiError(method, 422, "Invalid", "metadata.uid: field is immutable")
        if kind == "Service" and method == "PATCH":
            self._require_free_port(key, body)
        if (query or {}).get("dryRun"):
            return self._rehearsed(there, body)
        self.done.append(f"{method} {kind.lower()}/{name}")
        if method == "DELETE":
            self._delete(key)
        elif sub == "scale":
            self._change(key, {"spec": body["spec"]})
        elif isinstance(body, list):
            self._change(key, {"spec": {"template": body[-1]["value"]}})
        else:
            self._change(key, body)
        self._reconcile()
        return copy.deepcopy(self.objects.get(key, {}))

    def log(self, namespace: str, pod: str, container: str, lines: int, *, previous: bool = False) -> str:
        told = [f"{container} {namespace}/{pod} {lines} {previous}", self.last_words]
        return "\n".join([*told[-lines:], ""])

    def ask(self, kind: str, namespace: str, name: str, port: int, target: str) -> tuple[int, str]:  # noqa: ARG002
        app = PROJECT.application
        told = self.answer(app, name, namespace, counted=target == app.traffic) if kind == "Service" else {}
        return self.silent or 200, json.dumps(told)

    @contextmanager
    def forward(self, argv: Sequence[str], _environment: object) -> Iterator[str]:
        """Yield a forwarded port at which nothing answers; if it is forwarded again, raise KeyboardInterrupt as Ctrl-C would."""
        self.done.append(" ".join(argv))
        if argv[-1].startswith("40000:"):
            raise KeyboardInterrupt
        yield "127.0.0.1:40000"
        self.done.append("the port is closed")

    @property
    def served(self) -> list[Object]:
        """The answer to API discovery: all known kinds, each in one version."""

        def resource(kind: str) -> Object:
            scope = "Cluster" if kind in CLUSTER_WIDE else "Namespaced"
            return {"resource": f"{kind.lower()}s", "responseKind": {"kind": kind}, "scope": scope, "verbs": ["list", "delete"]}

        found = []
        for of, kinds in KNOWN.items():
            group, _, version = of.rpartition("/")
            served = {"version": version, "resources": [resource(kind) for kind in kinds.split()]}
            found.append({"metadata": {"name": group}, "versions": [served]})
        return found

    def _rehearsed(self, there: Object | None, body: Object) -> Object:
        if there and body["kind"] == "Job" and there["spec"] != {**there["spec"], **body["spec"]}:
            raise ApiError("PATCH", 422, "Invalid", "field is immutable")
        return {**body, "spec": {**(there or {}).get("spec", {}), **body.get("spec", {})}}

    def _parsed(self, target: str) -> tuple[str, str, str, str]:
        rest = target.strip("/").split("/")
        rest = rest[2 if rest[0] == "api" else 3 :] or rest
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2:
            _, namespace, *rest = rest
        plural, name, sub, *_ = [*rest, "", ""]
        return KINDS.get(plural, plural), namespace, name, sub

    # objects

    def all(self, kind: str, namespace: str = "", labelSelector: str = "", **_: str) -> list[Object]:  # noqa: N803
        wanted = dict(pair.split("=") for pair in labelSelector.split(",") if pair)
        found = [one for (of, where, _), one in self.objects.items() if of == kind and namespace in ("", where)]
        return [one for one in found if wanted.items() <= one["metadata"].get("labels", {}).items()]

    def one(self, kind: str, name: str = "simple-server", namespace: str = "default") -> Object:
        return self.objects[kind, namespace, name]

    def _put(self, kind: str, namespace: str, name: str, more: Object) -> Object:
        version = str(next(self._versions))
        where = {"namespace": namespace} if namespace else {}
        given = more.get("metadata", {})
        metadata = {"generation": 1, "uid": f"{kind}-{version}", "creationTimestamp": BEGUN, **given, "name": name, **where}
        item = {"apiVersion": VERSIONS[kind], "kind": kind, **more, "metadata": {**metadata, "resourceVersion": version}}
        self.objects[kind, namespace, name] = item
        return item

    def _change(self, key: tuple[str, str, str], body: Object) -> None:
        before = self.objects.get(key, {})
        metadata, spec = before.get("metadata", {}), before.get("spec", {})
        made = {**before, **body}
        if spec or "spec" in body:
            made["spec"] = {**spec, **copy.deepcopy(body.get("spec", {}))}
            for port, given in zip(made["spec"].get("ports", []), spec.get("ports", []), strict=False):
                if "nodePort" in given:
                    port.setdefault("nodePort", given["nodePort"])  # an assigned one stays
        made["metadata"] = {**metadata, **body.get("metadata", {})}
        if made != before:
            made["metadata"]["generation"] = metadata.get("generation", 0) + 1
            self._put(*key, made)

    def _require_free_port(self, key: tuple[str, str, str], body: Object) -> None:
        wanted = [port["nodePort"] for port in body["spec"]["ports"] if "nodePort" in port]
        for other in self.all("Service"):
            metadata = other["metadata"]
            theirs = [port.get("nodePort") for port in other["spec"]["ports"]]
            if key[1:] != (metadata["namespace"], metadata["name"]) and theirs == wanted:
                raise ApiError("PATCH", 422, "Invalid", "provided port is already allocated")

    def _delete(self, key: tuple[str, str, str]) -> None:
        if self.objects[key]["metadata"].get("finalizers"):
            return
        gone = self.objects.pop(key)["metadata"]["uid"]
        for other, one in list(self.objects.items()):
            owners = [owner["uid"] for owner in one["metadata"].get("ownerReferences", [])]
            if other in self.objects and (gone in owners or (key[0] == "Namespace" and other[1] == key[2])):
                self._delete(other)

    # controllers

    def _reconcile(self) -> None:
        for deployment in self.all("Deployment"):
            self._roll_out(deployment)
        for job in self.all("Job"):
            ended = "Failed" if self._broken(job) else "Complete"
            job["status"] = {"conditions": [{"type": ended, "status": "True", "message": "no more attempts"}]}
        for service in self.all("Service"):
            self._expose(service)

    def _broken(self, item: Object) -> str:
        found = [self.broken.get(one["image"], "") for one in item["spec"]["template"]["spec"]["containers"]]
        return next(filter(None, found), "")

    def _roll_out(self, deployment: Object) -> None:
        spec, metadata = deployment["spec"], deployment["metadata"]
        spec.setdefault("replicas", 1)
        namespace, name = metadata["namespace"], metadata["name"]
        digest = hashlib.sha256(json.dumps(spec["template"], sort_keys=True).encode()).hexdigest()[:5]
        annotations = metadata.setdefault("annotations", {})
        key = "deployment.kubernetes.io/revision"
        sets = [one for one in self.all("ReplicaSet", namespace) if one["metadata"]["name"].rpartition("-")[0] == name]
        newest = next((one for one in sets if one["metadata"]["name"] == f"{name}-{digest}"), None)
        labels = {**spec["template"]["metadata"]["labels"], "pod-template-hash": digest}
        if newest is None or newest["metadata"]["annotations"][key] != annotations.get(key):
            annotations[key] = str(int(annotations.get(key, 0)) + 1)
            template = {**spec["template"], "metadata": {**spec["template"]["metadata"], "labels": labels}}
            owners = [{"uid": metadata["uid"]}]
            own = {"labels": labels, "annotations": {key: annotations[key]}, "ownerReferences": owners}
            newest = self._put("ReplicaSet", namespace, f"{name}-{digest}", {"metadata": own, "spec": {"template": template}})
        broken = self._broken(deployment)
        for one in sets:
            if one["metadata"]["name"] != newest["metadata"]["name"] and not broken:
                self._pods(one, 0, "")
        self._pods(newest, 1 if broken and spec["replicas"] else spec["replicas"], broken)
        pods = [pod for pod in self.all("Pod", namespace) if pod["metadata"]["name"].startswith(f"{name}-")]
        updated = [pod for pod in pods if pod["metadata"]["labels"]["pod-template-hash"] == digest]
        available = sum(pod["status"]["phase"] == "Running" for pod in pods)
        counts = {"replicas": len(pods), "updatedReplicas": len(updated), "availableReplicas": available}
        deployment["status"] = {"observedGeneration": metadata["generation"], **counts}

    def _pods(self, replica_set: Object, number: int, broken: str) -> None:
        metadata, namespace = replica_set["metadata"], replica_set["metadata"]["namespace"]
        there = [one for one in self.all("Pod", namespace) if one["metadata"]["ownerReferences"][0]["uid"] == metadata["uid"]]
        stay = [pod for pod in there if (pod["status"]["phase"] == "Pending") == bool(broken)][:number]
        for pod in there:
            if pod not in stay:
                self._delete(("Pod", namespace, pod["metadata"]["name"]))
        template = replica_set["spec"]["template"]
        (container, *_) = template["spec"]["containers"]
        state = {"waiting": {"reason": broken}} if broken else {"running": {"startedAt": BEGUN}}
        told = {"name": container["name"], "image": container["image"], "restartCount": 0, "ready": not broken, "state": state}
        if broken == "CrashLoopBackOff":
            told |= {"restartCount": 3, "lastState": CRASHED}
        status = {
            "phase": "Pending" if broken else "Running",
            "conditions": [{"type": "Ready", "status": str(not broken)}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [told],
        }
        for index in range(len(stay), number):
            own = {"labels": metadata["labels"], "ownerReferences": [{"kind": "ReplicaSet", "uid": metadata["uid"]}]}
            spec = {**template["spec"], "nodeName": "node"}
            self._put("Pod", namespace, f"{metadata['name']}-{index}", {"metadata": own, "spec": spec, "status": status})
        replica_set["status"] = {"readyReplicas": 0 if broken else number}

    def _expose(self, service: Object) -> None:
        metadata, spec = service["metadata"], service["spec"]
        outside = spec.get("type") == "LoadBalancer"
        service["status"] = {"loadBalancer": {"ingress": [{"ip": BALANCED}]} if self.balanced and outside else {}}
        if spec.get("type") != "ClusterIP":
            spec["ports"][0].setdefault("nodePort", 31000)
        selector, ends = spec["selector"].items(), list[Object]()
        for pod in self.all("Pod", metadata["namespace"]):
            if selector <= pod["metadata"]["labels"].items():
                ready = pod["status"]["phase"] == "Running"
                ends.append({"targetRef": {"name": pod["metadata"]["name"]}, "conditions": {"ready": ready}})
        labels = {"kubernetes.io/service-name": metadata["name"]}
        own = {"labels": labels, "ownerReferences": [{"kind": "Service", "uid": metadata["uid"]}]}
        ports = [{"name": spec["ports"][0].get("name", ""), "port": PORT}]
        found = {"metadata": own, "endpoints": ends, "ports": ports}
        self._put("EndpointSlice", metadata["namespace"], f"{metadata['name']}-slice", found)

    # traffic

    def answers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the service's pods answer in turn at its addresses, until the test ends."""
        self.turns, self.counts = itertools.count(1), Counter[str]()

        def ask(app: Application, url: str, path: str = "/", seconds: float = 0, *, early: bool = False) -> Object | None:  # noqa: ARG001
            if self.answering == "for ever":
                return {app.pod_key: "ghost"} if app.pod_key else None
            named = [f"http://127.0.0.1:{PORT}/", f"http://{BALANCED}:{PORT}/", "http://10.0.0.1:31000/"]
            there = [one["metadata"] for one in self.all("Service") if one["metadata"]["name"] == app.name]
            if not there or url not in named or self.answering == "nobody" or (self.answering == "first" and not early):
                return None
            counted = path == "/"  # how many requests a wait sends depends on timing
            return self.answer(app, app.name, there[0]["namespace"], counted=counted)

        monkeypatch.setattr(probe, "ask", ask)

    def answer(self, app: Application, service: str, namespace: str, *, counted: bool) -> Object | None:
        """Return the answer of the service's next ready pod, or None if none is ready."""
        (found,) = self.all("EndpointSlice", labelSelector=f"kubernetes.io/service-name={service}")
        ready = [one["targetRef"]["name"] for one in found["endpoints"] if one["conditions"]["ready"]]
        if not ready:
            return None
        pod = self.one("Pod", ready[next(self.turns) % len(ready)], namespace)
        name = pod["metadata"]["name"]
        self.counts[name] += counted
        (image,) = [one["image"] for one in pod["spec"]["containers"] if one["name"] == app.name]
        build = "another" if self.answering == "another build" else image.rpartition(":")[2]
        told = {app.pod_key: name, app.node_key: "node", "build": build, "count": self.counts[name]}
        return told if app.pod_key else {}


FACTS = Cluster(kubeconfig="kubeconfig", context="context", node_ports=False, unreachable_hint="look", credentials_hint="log in")


class Theirs(Provider):
    """An existing cluster, which has no lifecycle. If its phase is None, no engine answers."""

    name = "theirs"
    kubeconfig = "/theirs"
    kubectl: tuple[str, ...] = ("--context", "theirs")
    shared = True

    def __init__(self, do: Door, kube: LivingKube, phase: Phase | None) -> None:
        self._app = PROJECT.application
        self._do = do
        self._kube = kube
        self._phase = phase
        self.facts = FACTS
        self.node_images: list[str] = []

    def phase(self) -> Phase:
        if self._phase is None:
            raise AbsentError("No container engine answers.")
        return self._phase

    def cluster(self) -> Cluster:
        if self._phase != "running":
            raise ClusterError(f"Cluster {self.name} is {self._phase}.", "./inv start")
        return self.facts

    def deliver(self, image: Image) -> Delivered:
        if image.reference not in self.node_images:
            self._do(["load", image.reference], lambda _: self.node_images.append(image.reference))
        return self.delivered(image)

    def supply(self, references: Sequence[str]) -> None:
        for one in references:
            self._do(["load", one], lambda _: None)

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:
        gone = [one for one in self.node_images if one not in used()]
        self.node_images = [one for one in self.node_images if one in used()]
        self._kube.done += [f"remove {one} from the nodes" for one in gone]
        return gone


class Ours(Theirs):
    """A cluster created by these tasks, which is deleted with everything in it."""

    name = "ours"
    kubeconfig = "/ours"
    kubectl = ("--context", "ours")
    shared = False
    node_port = NODE_PORT

    def __init__(self, do: Door, kube: LivingKube, phase: Phase | None) -> None:
        super().__init__(do, kube, phase)
        self.facts = dataclasses.replace(FACTS, mapped_port=(NODE_PORT, PORT), load_balancer=True)
        self.broken: ClusterError | None = None  # why a node has exited, if one has
        self.check: Callable[[], None] = lambda: None

    def ended(self) -> ClusterError | None:
        return self.broken

    def start(self) -> tuple[Cluster | None, Phase | None]:
        before = self._phase
        if before != "running":
            self._do(["start"], lambda _: setattr(self, "_phase", "running"))
        return self._do.unless_dry(lambda: self.facts), before

    def preload(self, image: Image, _abandoned: Callable[[], bool]) -> None:
        self._kube.done.append(f"preload {image.reference}")

    def stop(self) -> bool:
        was = self._phase
        self._phase = "stopped" if was == "running" else was
        return was == "running"

    def delete(self) -> bool:
        was, self._phase = self._phase, "missing"
        self._kube.objects = {key: one for key, one in self._kube.objects.items() if key[0] in ("Namespace", "Node", "Lease")}
        return was != "missing"


Own.register(Ours)  # for isinstance checks


class Person(Report):
    """A report whose user agrees to every question if `agreeing`, and to none otherwise."""

    agreeing = False

    def agrees(self, question: str) -> bool:
        self.tell(question)
        return self.agreeing


class LivingRun(Run):
    """A run that always has the same API in memory while its cluster is running."""

    living: LivingKube
    kube = property(lambda self: self.cluster and self.living)


@dataclasses.dataclass
class World:
    """A run on a cluster in memory, with what it works on. Changes made with `patch` end with the test."""

    patch: pytest.MonkeyPatch
    run: Run
    kube: LivingKube
    engine: FakeEngine
    provider: Any
    folder: Path

    def edit(self, name: str, change: Callable[[str], str]) -> None:
        (self.folder / name).write_text(change((self.folder / name).read_text()))


def world(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    phase: Phase | None = "running",
    shared: bool = False,
    parts: bool = False,
    **more: Any,
) -> World:
    """Return a world with this project's application, with its source in `folder` and the fields in `more` changed.

    `parts`: it also has a ConfigMap, a Secret, a job, a worker and a database, and another container in its pods. `claim`: with
    `parts`, also a PersistentVolumeClaim. `service`: the type of its service. `elsewhere`: its Dockerfile is outside its source.
    `mailer`: it has a second image, and a deployment that uses it.
    """
    facts, timeout, claim = more.pop("facts", {}), more.pop("timeout", 30), more.pop("claim", False)
    told = {name: more.pop(name, False) for name in ("dry", "echo")}
    source = folder / "source"
    source.mkdir(parents=True)
    (source / "Dockerfile").write_text("FROM scratch\n")
    elsewhere = more.pop("elsewhere", False)
    dockerfile = (source / "Dockerfile").rename(folder / "Containerfile") if elsewhere else source / "Dockerfile"
    built_from = Source(more.pop("name", PROJECT.application.name), source, dockerfile)
    mailer = more.pop("mailer", False)
    if mailer:
        (folder / "mailer").mkdir()
        (folder / "mailer" / "Containerfile").write_text("FROM scratch AS slim\nARG MODE=\nFROM slim\n")
        more["more"] = (Source("org/mailer", folder / "mailer", folder / "mailer/Containerfile", "slim", {"MODE": "fast"}),)
    kind = more.pop("service", "")
    if parts or mailer or kind:
        more["manifests"] = folder / "k8s"
        shutil.copytree(PROJECT.folder / "k8s", more["manifests"])
    if mailer:
        (more["manifests"] / "mailer.yaml").write_text(MAILER)
    if kind:
        service = more["manifests"] / "service.yaml"
        service.write_text(service.read_text().replace("type: LoadBalancer", f"type: {kind}"))
    if parts:
        (more["manifests"] / "parts.yaml").write_text(f"{CLAIM if claim else ''}{PARTS}")
        deployment = more["manifests"] / "deployment.yaml"
        text = deployment.read_text().replace("      containers:\n", SIDECAR)
        deployment.write_text(text.replace("image: simple-server:v1", "image: theirs"))  # the container is found by name
    kube, engine = LivingKube(), FakeEngine()
    others = [("theirs", ""), ("another", ""), ("demo", "minikube")]
    engine.created = [Created(name, provider, PROJECT.application.owner.name, "", "") for name, provider in others]
    engine.created.append(Created("shop", "", "kubetasks-shop", "/shop", "kubetasks"))
    application = dataclasses.replace(PROJECT.application, source=built_from, **more)
    project = dataclasses.replace(PROJECT, application=application)
    settings = configured(folder, project=project, cache=folder / "cache", timeout=timeout, grace_period=0)
    run = LivingRun(settings, Person(results=not told["dry"]), **told)
    provider = (Theirs if shared else Ours)(run.do, kube, phase)
    provider.facts = dataclasses.replace(provider.facts, **facts)
    run.__dict__.update(provider=provider, living=kube, engine=engine, host_engine=engine)
    kube.answers(monkeypatch)
    monkeypatch.setattr(requirements, "kubectl", lambda: Artifact("kubectl", True))
    for module, name in ((nodes, "REFUSED_SECONDS"), (judge, "UNANSWERED_SECONDS")):
        monkeypatch.setattr(module, name, 0.0)
    monkeypatch.setattr(kubectl, "forward", kube.forward)
    monkeypatch.delenv(access.NODE_VARIABLE, raising=False)
    return World(monkeypatch, run, kube, engine, provider, folder)
