"""The manifests of k8s/, made ready for one cluster: pure functions from objects to objects."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubetasks.settings import APP, OWNER, OWNER_LABEL, PROJECT

Object = dict[str, Any]

FOLDER = PROJECT / "k8s"


def read(path: Path) -> list[Object]:
    """The objects of a manifest file."""
    import yaml

    return [item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item]


def owned(item: Object, namespace: str = "") -> Object:
    """A copy that carries our label and, where given, lives in `namespace`."""
    item = copy.deepcopy(item)
    item["metadata"].setdefault("labels", {})[OWNER_LABEL] = OWNER
    if namespace:
        item["metadata"]["namespace"] = namespace
    return item


def deployment(item: Object, reference: str, namespace: str) -> Object:
    """The deployment with that image. Its replicas stay with whoever scales it."""
    item = owned(item, namespace)
    item["spec"].pop("replicas", None)
    for container in item["spec"]["template"]["spec"]["containers"]:
        if container["name"] == APP:
            container["image"] = reference
    return item


def service(item: Object, namespace: str, node_port: int | None) -> Object:
    """The service, on the node port that the cluster maps to this machine where it may have it."""
    item = owned(item, namespace)
    if node_port:
        item["spec"]["ports"][0]["nodePort"] = node_port
    return item


def selector(item: Object) -> str:
    """The label selector of a deployment, as the API takes it."""
    labels: Mapping[str, str] = item["spec"]["selector"]["matchLabels"]
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))
