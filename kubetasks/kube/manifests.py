"""The application's manifests, adapted to one cluster: pure functions from objects to objects."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubetasks.errors import SettingError
from kubetasks.project.application import MADE, Application
from kubetasks.project.labels import Owner

Object = dict[str, Any]
Edit = Mapping[str, object]  # an operation of a JSON patch

DEPLOYMENT, SERVICE, BUDGET = "deployment", "service", "poddisruptionbudget"
OPTIONAL = (BUDGET,)
SUFFIXES = (".yaml", ".yml", ".json")
USER = 65532  # nobody in the distroless images: restricted pods must not run as root
DRAIN_SECONDS = 4  # nodes stop sending new connections after up to 1.6 s


def read(path: Path) -> list[Object]:
    """Read the objects of a manifest file. Raises SettingError if it is not one."""
    import yaml

    try:
        items = [item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item]
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise SettingError(f"{path} cannot be read as a manifest: {error}", "Fix the file") from error
    for item in items:
        metadata = item.get("metadata") if isinstance(item, dict) else None
        if not isinstance(metadata, dict) or not item.get("kind") or not metadata.get("name"):
            raise SettingError(f"{path} holds something without kind and name.", "Fix the file")
        if not isinstance(metadata.get("labels") or {}, dict):
            raise SettingError(f"{path}: the labels of {item['kind']} {metadata['name']} are no mapping.", "Fix the file")
    return items


def read_one(app: Application, name: str) -> Object | None:
    """The object of the application's manifest NAME.yaml, or the one that is made; None if it is left out and may be.

    Raises SettingError if it must not be, or if the folder has a manifest of which nothing would become.
    """
    if app.manifests is None:
        return _made(app).get(name)
    path = app.manifests / f"{name}.yaml"
    others = [file for file in sorted(app.manifests.iterdir()) if file.suffix in SUFFIXES and _unknown(file)]
    if others:
        raise SettingError(
            f"{others[0]} would not be applied: only {DEPLOYMENT}.yaml, {SERVICE}.yaml and {BUDGET}.yaml are.",
            f"Move it to another folder, and apply it with kubectl; or {MADE}",
        )
    if name in OPTIONAL and not path.exists():
        return None
    items = read(path)
    if len(items) != 1:
        raise SettingError(f"{path} must hold one object, not {len(items)}.", "Fix the file")
    (item,) = items
    if (item["kind"].lower(), item["metadata"]["name"]) != (name, app.name):
        raise SettingError(
            f"{path} must hold the {name} {app.name}, not {item['kind']} {item['metadata']['name']}.",
            "Fix the file: the tasks find, change and delete it by that name",
        )
    return item


def _unknown(file: Path) -> bool:
    return file.stem not in (DEPLOYMENT, SERVICE, BUDGET) or file.suffix != ".yaml"


def _made(app: Application) -> dict[str, Object]:
    """The manifests of an application that has none: restricted pods that lose no request in a rollout, and their service."""
    labels = {"app.kubernetes.io/name": app.name}
    container = {
        "name": app.name,
        "image": app.tutorial_tag,
        "ports": [{"name": "http", "containerPort": app.port}],
        "env": [
            {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
            for name, path in (("POD_NAME", "metadata.name"), ("NODE_NAME", "spec.nodeName"))
        ],
        "readinessProbe": {"httpGet": {"path": app.health, "port": "http"}, "periodSeconds": 1, "timeoutSeconds": 2},
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": app.name, "labels": labels},
        "spec": {
            "strategy": {"rollingUpdate": {"maxSurge": 3, "maxUnavailable": 0}},
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": app.name, "labels": labels},
        "spec": {
            "type": "LoadBalancer",
            "selector": labels,
            "ports": [{"name": "http", "port": app.port, "targetPort": "http"}],
        },
    }
    made: dict[str, Object] = json.loads(json.dumps({DEPLOYMENT: deployment, SERVICE: service}))  # no mapping in two places
    return made


def text(app: Application, item: Object) -> str:
    """The manifest as YAML if it was made, "" if there is a file."""
    import yaml

    return "" if app.manifests else str(yaml.safe_dump(item, sort_keys=False))


def owned(item: Object, owner: Owner, namespace: str = "") -> Object:
    """Return a copy with the owner's label and, if given, that namespace."""
    item = copy.deepcopy(item)
    item["metadata"]["labels"] = {**(item["metadata"].get("labels") or {}), **owner.labels}
    if namespace:
        item["metadata"]["namespace"] = namespace
    return item


def deployment_edits(item: Object, app: Application, pull_policy: str) -> list[Edit]:
    """What is changed in the deployment beside its image: the pull policy, the label by which its pods are found, and no
    replicas: only `scale` sets those. Raises SettingError.
    """
    index = container_index(item, app)
    edits: list[Edit] = []
    if item["spec"]["template"]["spec"]["containers"][index].get("imagePullPolicy") != pull_policy:
        policy = f"/spec/template/spec/containers/{index}/imagePullPolicy"
        edits.append({"op": "add", "path": policy, "value": pull_policy})
    metadata = item["spec"]["template"].get("metadata") or {}
    labels = metadata.get("labels") or {}
    key, _, value = app.selector.partition("=")
    if labels.get(key) != value:
        named = {**metadata, "labels": {**labels, key: value}}
        edits.append({"op": "add", "path": "/spec/template/metadata", "value": named})
    if "replicas" in item["spec"]:
        edits.append({"op": "remove", "path": "/spec/replicas"})
    return edits


def container_index(item: Object, app: Application) -> int:
    """The position of the application's container in the pod template: the one of its name, or the only one.

    Raises SettingError if there is no such container.
    """
    try:
        names = [one.get("name") for one in item["spec"]["template"]["spec"]["containers"]]
        return 0 if len(names) == 1 else names.index(app.name)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SettingError(
            f"{app.manifests}/deployment.yaml has no container {app.name} in its pod template.", "Fix the file"
        ) from error


def with_image(item: Object, app: Application, reference: str) -> Object:
    """Return the deployment with that image of the application's container. Raises SettingError."""
    item = copy.deepcopy(item)
    item["spec"]["template"]["spec"]["containers"][container_index(item, app)]["image"] = reference
    return item


def service_edits(item: Object, app: Application, node_port: int | None) -> list[Edit]:
    """What is changed in the service: its first port is the application's, on `node_port` if one is given.

    Raises SettingError if it has none.
    """
    ports = item["spec"].get("ports") if isinstance(item.get("spec"), dict) else None
    if not isinstance(ports, list) or not ports or not isinstance(ports[0], dict):
        raise SettingError(f"Service {app.name} in {app.manifests}/service.yaml has no port.", "Fix the file")
    return [{"op": "add", "path": "/spec/ports/0/nodePort", "value": node_port}] if node_port else []


def edited(item: Object, edits: list[Edit]) -> Object:
    """Return a copy after these operations, whose parents are there."""
    item = copy.deepcopy(item)
    for edit in edits:
        *parents, last = str(edit["path"]).strip("/").split("/")
        place: Any = item
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if edit["op"] == "remove":
            del place[last]
        else:
            place[last] = edit["value"]
    return item
