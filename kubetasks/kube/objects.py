"""Apply, scale and delete our objects. A second time changes nothing, and objects without our label are refused."""

from collections.abc import Callable, Iterable, Sequence

from kubetasks.errors import LeftoverError, OwnershipError
from kubetasks.kube.client import ApiError, Kube, Object, describe, path
from kubetasks.project.words import INV
from kubetasks.terminal import wait

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
REPLACED, UID = (409, 422), "uid"  # status, and a word of the answer, if the object of that name has another uid, or is gone
CONFLICT = 409
DEPENDENTS = "foregroundDeletion"  # the finalizer of an object whose dependents go first


def require_ours(kube: Kube, item: Object) -> None:
    """Raises OwnershipError for an object without our label."""
    if not kube.owner.owns(item["metadata"].get("labels")):
        metadata = item["metadata"]
        where = f" -n {metadata['namespace']}" if metadata.get("namespace") else ""
        raise OwnershipError(
            f"{describe(item)}{where} exists and was not created by these tasks (no label {kube.owner.selector}).",
            f"Delete it, or hand it over: {kube.kubectl_line} label{where} {describe(item)} {kube.owner.selector} --overwrite",
        )


def there(kube: Kube, kind: str, name: str, namespace: str = "") -> Object | None:
    """Our object of that name, or None. Raises OwnershipError if there is one without our label."""
    item = kube.get(kind, name, namespace)
    if item:
        require_ours(kube, {"kind": kind, **item})
    return item


def apply(kube: Kube, item: Object, before: Object | None = None) -> bool:
    """Apply on the server's side; True if that changed something. Raises OwnershipError, ApiError.

    `before` is our object of that name, if it has been read: it is asked for again if another one, or none, has its place by now,
    and whatever has changed since then counts as a change.
    """
    metadata = item["metadata"]
    namespace = metadata.get("namespace", "")
    target = path(item["kind"], namespace, metadata["name"])
    wanted = {**item, "metadata": {**metadata, "uid": before["metadata"]["uid"]}} if before else item
    before = before or there(kube, item["kind"], metadata["name"], namespace)
    try:
        after = kube.request("PATCH", target, {"fieldManager": kube.owner.name, "force": "true"}, wanted, APPLY_PATCH)
    except ApiError as error:
        if wanted is item or error.status not in REPLACED or UID not in error.sentence:
            raise
        return apply(kube, item)
    return not before or before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]


def _with_template(live: Object, template: Object) -> Object:
    """What to apply so that a deployment in the cluster, of ours, gets that pod template and stays as it is otherwise."""
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "labels")}
    spec = {key: value for key, value in live["spec"].items() if key != "replicas"}
    return {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata, "spec": {**spec, "template": template}}


def replace_template(kube: Kube, item: Object, template: Object) -> None:
    """Give our deployment that pod template, and nothing else, whoever set the fields that it has now. Raises ApiError.

    Applying would keep what others have added. Replacing alone would make us the owner of each field as by an update, and a
    later `apply` removes only what an apply owns: so the same is applied too, and the update forgotten.
    """
    metadata = item["metadata"]
    target = path("Deployment", metadata["namespace"], metadata["name"])
    same = {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]}
    replaced = [same, {"op": "replace", "path": "/spec/template", "value": template}]
    changed = kube.request("PATCH", target, {"fieldManager": kube.owner.name}, replaced, JSON_PATCH)
    apply(kube, _with_template(changed, template))
    _forget_update(kube, target)


def _forget_update(kube: Kube, target: str) -> None:
    """Remove what says that we own fields by an update."""
    ours = (kube.owner.name, "Update", "")
    while True:
        metadata = kube.request("GET", target)["metadata"]
        entries = metadata.get("managedFields", [])
        kept = [entry for entry in entries if (entry["manager"], entry["operation"], entry.get("subresource", "")) != ours]
        if len(kept) == len(entries):
            return
        patch = {"metadata": {"managedFields": kept, "resourceVersion": metadata["resourceVersion"]}}
        try:
            kube.request("PATCH", target, {"fieldManager": kube.owner.name}, patch, MERGE_PATCH)
        except ApiError as error:
            if error.status != CONFLICT:  # a controller was faster: its entry must stay
                raise


def scale(kube: Kube, name: str, namespace: str, replicas: int) -> None:
    """Set a deployment's replicas through its scale subresource."""
    kube.request("PATCH", path("Deployment", namespace, name, "scale"), {}, {"spec": {"replicas": replicas}}, MERGE_PATCH)


def begin_deletion(kube: Kube, wanted: Iterable[tuple[str, str]], namespace: str) -> list[tuple[str, str, str]]:
    """Delete our objects of these kinds and names, with their dependents; return kind, name and uid of those that are there.

    Raises OwnershipError.
    """
    begun = []
    for kind, name in wanted:
        if item := there(kube, kind, name, namespace):
            body = {"propagationPolicy": "Foreground", "preconditions": {"uid": item["metadata"]["uid"]}}
            try:
                kube.request("DELETE", path(kind, namespace, name), body=body)
            except ApiError as error:
                if error.status != 404:
                    raise
            begun.append((kind, name, item["metadata"]["uid"]))
    return begun


def wait_until_gone(
    kube: Kube, begun: Sequence[tuple[str, str, str]], namespace: str, timeout: float, at: Callable[[str], None]
) -> None:
    """Wait until objects that are being deleted are gone; `at` gets what keeps one. Raises LeftoverError."""
    left = list(begun)

    def check() -> wait.State:
        while left:
            kind, name, uid = left[0]
            item = kube.get(kind, name, namespace)
            if item and item["metadata"]["uid"] == uid:  # somebody may have created another one
                waits_for = [finalizer for finalizer in item["metadata"].get("finalizers", []) if finalizer != DEPENDENTS]
                why = f"it waits for {', '.join(waits_for)}" if waits_for else "what belongs to it is still there"
                return wait.Pending(f"{kind.lower()}/{name}: {why}")
            left.pop(0)
        return wait.Done()

    wait.until_done(
        kube.surviving(check), LeftoverError, "Something was not deleted", f"{INV} status", timeout=timeout, on_change=at
    )


def delete(kube: Kube, wanted: Iterable[tuple[str, str]], namespace: str, timeout: float, at: Callable[[str], None]) -> None:
    """Delete our objects of these kinds and names, and wait until they are gone. Raises OwnershipError, LeftoverError."""
    wait_until_gone(kube, begin_deletion(kube, wanted, namespace), namespace, timeout, at)
