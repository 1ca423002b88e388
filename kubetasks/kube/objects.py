"""Apply, scale and delete the owner's objects, idempotently. Apply and delete refuse an object without the owner's label."""

from collections.abc import Callable, Sequence

from kubetasks.errors import LeftoverError, OwnershipError
from kubetasks.kube import kinds, readiness, states
from kubetasks.kube.client import NOT_FOUND, ApiError, Kube, Object, describe, path
from kubetasks.project.words import INV
from kubetasks.terminal import wait

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
REPLACED, UID = (409, 422), "uid"  # status and a word of the answer if the object has been replaced (another uid) or deleted
CONFLICT, INVALID = 409, 422
# the API server's messages if a webhook has side effects, or if a service account, role or class does not exist yet
UNCHECKED = ("not support dry run", "not found", "error looking up", "no PriorityClass")
REHEARSED = "rehearsed"
DEPENDENTS = "foregroundDeletion"  # the finalizer of an object whose dependents are deleted first


def require_ours(kube: Kube, item: Object) -> None:
    """Raise OwnershipError if the object lacks the owner's label."""
    if not kube.owner.owns(item["metadata"].get("labels")):
        metadata = item["metadata"]
        where = f" -n {metadata['namespace']}" if metadata.get("namespace") else ""
        raise OwnershipError(
            f"{describe(item)}{where} exists and was not created by these tasks (no label {kube.owner.selector}).",
            f"Delete it, or hand it over: {kube.kubectl_line} label{where} {describe(item)} {kube.owner.selector} --overwrite",
        )


def read_owned(kube: Kube, item: Object) -> Object | None:
    """Return the object as it is now, or None. Raises OwnershipError if it lacks the owner's label, UnservedError."""
    live = kube.read(item)
    if live:
        require_ours(kube, live)
    return live


def apply(kube: Kube, item: Object, before: Object | None = None) -> Object:
    """Apply an object server-side, and return it as it is now. Raises OwnershipError, ApiError, UnservedError.

    `before` is the existing object, if it has been read. If it has been replaced or deleted since, read it again.
    """
    wanted = {**item, "metadata": {**item["metadata"], "uid": before["metadata"]["uid"]}} if before else item
    if not before:
        read_owned(kube, item)
    try:
        return _applied(kube, wanted)
    except ApiError as error:
        if wanted is item or error.status not in REPLACED or UID not in error.sentence:
            raise
        return apply(kube, item)


def _applied(kube: Kube, item: Object, **options: str) -> Object:
    query = {"fieldManager": kube.owner.name, "force": "true", **options}
    answer = kube.request("PATCH", kube.path_of(item), query, item, APPLY_PATCH)
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], **answer}


def rehearse(kube: Kube, item: Object, before: Object | None) -> bool:
    """Apply an object as a server-side dry run; return True if the existing one, `before`, must be replaced. Raises ApiError.

    It must be replaced if it is terminating, or if it is a Job or Pod (they do not run again) that has failed or is to change.
    A new object that needs something that does not exist yet cannot be checked: return False.
    """
    ends = item["kind"] in kinds.RUN_ONCE
    try:
        after = _applied(kube, item, dryRun="All")
    except ApiError as error:
        if not before and any(words in error.sentence for words in UNCHECKED):
            return False
        if not (before and ends and error.status == INVALID):
            raise
        another = {**item, "metadata": {**item["metadata"], "name": REHEARSED}}
        rehearse(kube, another, None)
        return True
    if before and states.terminating(before):
        return True
    if not (ends and before):
        return False
    changed = (after["spec"], after["metadata"].get("annotations")) != (before["spec"], before["metadata"].get("annotations"))
    return changed or bool(readiness.failure(before))


def replace_template(kube: Kube, item: Object, template: Object) -> None:
    """Replace a deployment's whole pod template, whichever field managers set its fields. Raises ApiError.

    Applying it alone would keep fields that other managers added. Replacing it alone would make our manager own the fields by an
    Update, and a later `apply` removes only fields owned by an Apply. So apply it too, and remove the Update's entry.
    """
    metadata = item["metadata"]
    target = path("Deployment", metadata["namespace"], metadata["name"])
    same = {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]}
    replaced = [same, {"op": "replace", "path": "/spec/template", "value": template}]
    changed = kube.request("PATCH", target, {"fieldManager": kube.owner.name}, replaced, JSON_PATCH)
    known = {key: changed["metadata"][key] for key in ("name", "namespace", "labels")}
    spec = {key: value for key, value in changed["spec"].items() if key != "replicas"} | {"template": template}
    apply(kube, {"apiVersion": changed["apiVersion"], "kind": changed["kind"], "metadata": known, "spec": spec})
    _forget_update(kube, target)


def _forget_update(kube: Kube, target: str) -> None:
    """Remove the managedFields entry that records our field manager's Update."""
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
            if error.status != CONFLICT:  # a controller was faster, and its entry must stay: read again
                raise


def scale(kube: Kube, name: str, namespace: str, replicas: int) -> None:
    """Set a deployment's replicas through its scale subresource."""
    kube.request("PATCH", path("Deployment", namespace, name, "scale"), {}, {"spec": {"replicas": replicas}}, MERGE_PATCH)


def start_deletion(kube: Kube, going: Sequence[Object]) -> None:
    """Start to delete these existing objects and their dependents, but no newer object of the same name.

    Raises OwnershipError, before anything is deleted, if one lacks the owner's label.
    """
    for item in going:
        require_ours(kube, item)
    for item in going:
        body = {"propagationPolicy": "Foreground", "preconditions": {"uid": item["metadata"]["uid"]}}
        try:
            kube.request("DELETE", kube.path_of(item), body=body)
        except ApiError as error:
            if error.status not in (NOT_FOUND, CONFLICT):
                raise


def wait_until_gone(kube: Kube, begun: Sequence[Object], timeout: float, at: Callable[[str], None]) -> None:
    """Wait until these terminating objects are gone; `at` is called with what one waits for. Raises LeftoverError."""
    left = list(begun)

    def check() -> wait.State:
        while left:
            item = kube.read(left[0])
            if item and item["metadata"]["uid"] == left[0]["metadata"]["uid"]:  # a newer object of that name does not count
                waits_for = [finalizer for finalizer in item["metadata"].get("finalizers", []) if finalizer != DEPENDENTS]
                why = f"it waits for {', '.join(waits_for)}" if waits_for else "its dependents are still there"
                return wait.Pending(f"{describe(item)}: {why}")
            left.pop(0)
        return wait.Done()

    wait.until_done(
        kube.surviving(check), LeftoverError, "Some objects were not deleted", f"{INV} status", timeout=timeout, on_change=at
    )


def delete(kube: Kube, going: Sequence[Object], timeout: float, at: Callable[[str], None]) -> None:
    """Delete these existing objects, and wait until they are gone. Raises OwnershipError, LeftoverError."""
    start_deletion(kube, going)
    wait_until_gone(kube, going, timeout, at)
