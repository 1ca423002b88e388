"""Apply, scale and delete our objects. A second time changes nothing, and objects without our label are refused."""

from collections.abc import Callable, Sequence

from kubetasks.errors import LeftoverError, OwnershipError
from kubetasks.kube import kinds, readiness, states
from kubetasks.kube.client import NOT_FOUND, ApiError, Kube, Object, describe, path
from kubetasks.project.words import INV
from kubetasks.terminal import wait

JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
REPLACED, UID = (409, 422), "uid"  # status, and a word of the answer, if the object of that name has another uid, or is gone
CONFLICT, INVALID = 409, 422
# the API server's words if a webhook has effects, and if an account, a role or a class is not there yet
UNCHECKED = ("not support dry run", "not found", "error looking up", "no PriorityClass")
REHEARSED = "rehearsed"
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


def there(kube: Kube, item: Object) -> Object | None:
    """Our object of that kind and name, or None. Raises OwnershipError if there is one without our label, UnservedError."""
    live = kube.read(item)
    if live:
        require_ours(kube, live)
    return live


def apply(kube: Kube, item: Object, before: Object | None = None) -> Object:
    """Apply on the server's side, and return the object as it is now. Raises OwnershipError, ApiError, UnservedError.

    `before` is our object of that name, if it has been read: it is asked for again if another one, or none, has its place by now.
    """
    wanted = {**item, "metadata": {**item["metadata"], "uid": before["metadata"]["uid"]}} if before else item
    if not before:
        there(kube, item)
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
    """Let the API server check what it is given, and store nothing; True if our object of that name must be replaced.

    That is what is being deleted, and what runs to an end, if it has failed or another one is wanted: what has run does not run
    again. What needs something that is not there yet cannot be checked. Raises ApiError.
    """
    ends = item["kind"] in kinds.ENDING
    try:
        after = _applied(kube, item, dryRun="All")
    except ApiError as error:
        if not before and any(words in error.sentence for words in UNCHECKED):
            return False
        if not (before and ends and error.status == INVALID):
            raise
        another = {**item, "metadata": {**item["metadata"], "name": REHEARSED}}
        return not rehearse(kube, another, None)
    if before and states.terminating(before):
        return True
    if not (ends and before):
        return False
    changed = (after["spec"], after["metadata"].get("annotations")) != (before["spec"], before["metadata"].get("annotations"))
    return changed or bool(readiness.failure(before))


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
    known = {key: changed["metadata"][key] for key in ("name", "namespace", "labels")}
    spec = {key: value for key, value in changed["spec"].items() if key != "replicas"} | {"template": template}
    apply(kube, {"apiVersion": changed["apiVersion"], "kind": changed["kind"], "metadata": known, "spec": spec})
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


def begin_deletion(kube: Kube, going: Sequence[Object]) -> None:
    """Delete our objects, which have been read, with their dependents; nothing else that has the name of one by now.

    Raises OwnershipError.
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
    """Wait until objects that are being deleted are gone; `at` gets what keeps one. Raises LeftoverError."""
    left = list(begun)

    def check() -> wait.State:
        while left:
            item = kube.read(left[0])
            if item and item["metadata"]["uid"] == left[0]["metadata"]["uid"]:  # somebody may have created another one
                waits_for = [finalizer for finalizer in item["metadata"].get("finalizers", []) if finalizer != DEPENDENTS]
                why = f"it waits for {', '.join(waits_for)}" if waits_for else "what belongs to it is still there"
                return wait.Pending(f"{describe(item)}: {why}")
            left.pop(0)
        return wait.Done()

    wait.until_done(
        kube.surviving(check), LeftoverError, "Something was not deleted", f"{INV} status", timeout=timeout, on_change=at
    )


def delete(kube: Kube, going: Sequence[Object], timeout: float, at: Callable[[str], None]) -> None:
    """Delete our objects, which have been read, and wait until they are gone. Raises OwnershipError, LeftoverError."""
    begin_deletion(kube, going)
    wait_until_gone(kube, going, timeout, at)
