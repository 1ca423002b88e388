"""The manifests of k8s/, made ready for one cluster: pure functions from objects to objects."""

import copy
from pathlib import Path
from typing import Any

from kubetasks.errors import SettingError
from kubetasks.settings import APP, OWNER, OWNER_LABEL, PROJECT

Object = dict[str, Any]

FOLDER = PROJECT / "k8s"


def read(path: Path) -> list[Object]:
    """The objects of a manifest file. Raises SettingError where it cannot be read as one."""
    import yaml

    try:
        items = [item for item in yaml.safe_load_all(path.read_text(encoding="utf-8")) if item]
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise SettingError(f"{path} cannot be read as a manifest: {error}", "Mend the file") from error
    for item in items:
        if not isinstance(item, dict) or not item.get("kind") or not (item.get("metadata") or {}).get("name"):
            raise SettingError(f"{path} holds something without kind and name.", "Mend the file")
    return items


def owned(item: Object, namespace: str = "") -> Object:
    """A copy that carries our label and, where given, lives in `namespace`."""
    item = copy.deepcopy(item)
    item["metadata"].setdefault("labels", {})[OWNER_LABEL] = OWNER
    if namespace:
        item["metadata"]["namespace"] = namespace
    return item


def deployment(item: Object, reference: str, namespace: str) -> Object:
    """The deployment with that image. Its replicas stay with whoever scales it. Raises SettingError."""
    item = owned(item, namespace)
    try:
        item["spec"].pop("replicas", None)
        (container,) = [one for one in item["spec"]["template"]["spec"]["containers"] if one["name"] == APP]
    except (KeyError, TypeError, ValueError) as error:
        raise SettingError(f"k8s/deployment.yaml has no container {APP} in its pod template.", "Mend the file") from error
    container["image"] = reference
    return item


def service(item: Object, namespace: str, node_port: int | None) -> Object:
    """The service, on the node port that the cluster maps to this machine where it may have it. Raises SettingError."""
    item = owned(item, namespace)
    try:
        port = item["spec"]["ports"][0]
    except (KeyError, TypeError, IndexError) as error:
        raise SettingError("k8s/service.yaml has no port.", "Mend the file") from error
    if node_port:
        port["nodePort"] = node_port
    return item
