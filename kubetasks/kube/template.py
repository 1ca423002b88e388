"""The template of an object's pods, whatever its kind: known by what it has."""

from typing import NamedTuple

from kubetasks.kube.client import Object, within

PLACES = ("/spec/template", "/spec/jobTemplate/spec/template", "")  # where kinds have metadata and specification of pods


class Template(NamedTuple):
    """The pod template of an object, and its place as a JSON pointer: "" in a pod."""

    place: str
    metadata: Object
    spec: Object


def of(item: Object) -> list[Template]:
    """The template of the object's pods, if it has one: with containers that have names."""
    for place in PLACES:
        if not place and item.get("kind") != "Pod":
            continue
        found = within(item, *filter(None, place.split("/")))
        spec = within(found, "spec")
        groups = [spec.get("containers"), spec.get("initContainers") or []]
        if all(isinstance(group, list) and all(within(each).get("name") for each in group) for group in groups):
            return [Template(place, within(found, "metadata"), spec)]
    return []


def containers(item: Object) -> list[Object]:
    """The containers of the object's pods, those that run first included."""
    return [each for found in of(item) for each in [*(found.spec.get("initContainers") or []), *found.spec["containers"]]]
