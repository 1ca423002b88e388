"""The application's manifests, adapted to one cluster: pure functions from objects to objects."""

import copy
from pathlib import Path
from typing import Any

from kubetasks.errors import SettingError
from kubetasks.project.application import Application
from kubetasks.project.labels import Owner

Object = dict[str, Any]


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


def read_one(app: Application, name: str) -> Object:
    """Read the object of the application's manifest NAME.yaml. Raises SettingError if there is none."""
    path = app.manifests / f"{name}.yaml"
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


def owned(item: Object, owner: Owner, namespace: str = "") -> Object:
    """Return a copy with the owner's label and, if given, that namespace."""
    item = copy.deepcopy(item)
    item["metadata"]["labels"] = {**(item["metadata"].get("labels") or {}), **owner.labels}
    if namespace:
        item["metadata"]["namespace"] = namespace
    return item


def deployment(item: Object, app: Application, reference: str, pull_policy: str, namespace: str) -> Object:
    """Return the deployment with the image `reference` and without replicas: only `scale` sets those. Raises SettingError."""
    item = owned(item, app.owner, namespace)
    index = container_index(item, app)
    item["spec"].pop("replicas", None)
    item["spec"]["template"]["spec"]["containers"][index] |= {"image": reference, "imagePullPolicy": pull_policy}
    return item


def container_index(item: Object, app: Application) -> int:
    """The position of the application's container in the pod template. Raises SettingError if there is none of that name."""
    try:
        return [one.get("name") for one in item["spec"]["template"]["spec"]["containers"]].index(app.name)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SettingError(
            f"{app.manifests}/deployment.yaml has no container {app.name} in its pod template.", "Fix the file"
        ) from error


def service(item: Object, app: Application, namespace: str, node_port: int | None) -> Object:
    """Return the service, on `node_port` if one is given. Raises SettingError."""
    item = owned(item, app.owner, namespace)
    port = item["spec"]["ports"][port_index(item, app)]
    if node_port:
        port["nodePort"] = node_port
    return item


def port_index(item: Object, app: Application) -> int:
    """The position of the application's port in the service. Raises SettingError if there is none of that name."""
    try:
        return [port.get("name") for port in item["spec"]["ports"]].index(app.port)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise SettingError(
            f"Service {item['metadata']['name']} has no port {app.port}.",
            f"Name its port {app.port} in {app.manifests}/service.yaml",
        ) from error
