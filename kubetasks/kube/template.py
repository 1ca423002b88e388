"""The template of an object's pods, whatever its kind: known by what it has."""

from typing import Any, NamedTuple

from kubetasks.kube.client import Object

PLACES = ("/spec/template", "/spec/jobTemplate/spec/template", "")  # where kinds have metadata and specification of pods


class Template(NamedTuple):
    """What an object's pods are made from, and where it is in the object, as a JSON pointer: "" in a pod."""

    place: str
    metadata: Object
    spec: Object


def of(item: Object) -> list[Template]:
    """The template of the object's pods, if it has one."""
    for place in PLACES:
        found: Any = item
        for part in filter(None, place.split("/")):
            found = found.get(part) if isinstance(found, dict) else None
        spec = found.get("spec") if isinstance(found, dict) else None
        if isinstance(spec, dict) and "containers" in spec:
            return [Template(place, found.get("metadata") or {}, spec)]
    return []


def containers(item: Object) -> list[Object]:
    """The containers of the object's pods, those that run first included."""
    return [each for found in of(item) for each in [*(found.spec.get("initContainers") or []), *found.spec["containers"]]]
