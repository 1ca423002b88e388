"""Find the pod template of an object of any kind, by its fields."""

from typing import NamedTuple

from kubetasks.kube.client import Object, within

PLACES = ("/spec/template", "/spec/jobTemplate/spec/template", "")  # where kinds have the metadata and spec of their pods


class Template(NamedTuple):
    """An object's pod template, and its place as a JSON pointer: "" in a Pod."""

    place: str
    metadata: Object
    spec: Object


def of(item: Object) -> list[Template]:
    """Return the object's pod template in a list, or [] if it has none with named containers."""
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
    """Return the containers of the object's pods, init containers first."""
    return [each for found in of(item) for each in [*(found.spec.get("initContainers") or []), *found.spec["containers"]]]
