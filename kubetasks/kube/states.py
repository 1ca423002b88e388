"""The state of objects: conditions, pod phases, ready nodes. Pure functions."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from kubetasks.kube.client import Object, within
from kubetasks.terminal.wait import Done, Pending, State

END_UNKNOWN = "Unknown"  # a container's termination reason if its runtime did not see the end
STEADY_SECONDS = 5.0
RESOLUTION = 3.0  # seconds: the API truncates both times, and reports an end up to a second late


def name_of(item: Object) -> str:
    """Return the object's name."""
    return str(item["metadata"]["name"])


def terminating(item: Object) -> bool:
    """Return whether the object has been deleted, and still exists until its finalizers are done."""
    return bool(item["metadata"].get("deletionTimestamp"))


def conditions(item: Object) -> dict[str, Object]:
    """Return the conditions by type."""
    listed = within(item, "status").get("conditions")
    found = map(within, listed if isinstance(listed, list) else [])
    return {str(one["type"]): one for one in found if "type" in one}


def condition(item: Object, kind: str) -> Object:
    """Return the condition of type `kind`, or {} if it is missing."""
    return conditions(item).get(kind, {})


def container_statuses(pod: Object) -> list[Object]:
    """Return the statuses of a pod's containers, init containers first."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def node_state(nodes: Sequence[Object], leases: Sequence[Object], since: Mapping[str, datetime]) -> State:
    """Return Done if every node, including all in `since`, is ready, and its kubelet has renewed its lease since it started.

    Until then the API reports the state from before the nodes stopped. `leases` are from the namespace kube-node-lease.
    """
    times = {name_of(lease): lease["spec"].get("renewTime") for lease in leases}
    renewed = {name: datetime.fromisoformat(time) for name, time in times.items() if time}
    expected = since.keys() | {name_of(node) for node in nodes}
    ready = {name_of(node) for node in nodes if pod_ready(node) and name_of(node) in renewed}
    ready -= {name for name in ready & since.keys() if renewed[name] < since[name]}
    return Done() if expected and len(ready) == len(expected) else Pending(f"{len(ready)} of {len(expected)} nodes ready")


def started_since(pod: Object, since: datetime | None) -> bool:
    """Return whether all of a pod's containers started at or after `since`, to the second (the API's resolution)."""
    if since is None:
        return True
    started = [
        (container.get("state", {}).get("running") or {}).get("startedAt")
        for container in pod.get("status", {}).get("containerStatuses", [])
    ]
    return all(time and datetime.fromisoformat(time) >= since.replace(microsecond=0) for time in started)


def steady(pod: Object, now: datetime, since: datetime | None) -> bool:
    """Return whether every container that crashed after its node started has now run longer than before, or STEADY_SECONDS."""
    for container in pod.get("status", {}).get("containerStatuses", []):
        running, ended = (within(container, *keys) for keys in (("state", "running"), ("lastState", "terminated")))
        if not running or not ended.get("exitCode") or not ended.get("startedAt") or ended.get("reason") == END_UNKNOWN:
            continue
        begun, over, again = map(datetime.fromisoformat, (ended["startedAt"], ended["finishedAt"], running["startedAt"]))
        needed = min((over - begun).total_seconds(), STEADY_SECONDS) + RESOLUTION
        lasted = (now - again).total_seconds()  # far below 0 if the clocks disagree
        if (since is None or over > since) and -RESOLUTION <= lasted <= needed:
            return False
    return True


def pod_phase(pod: Object) -> str:
    """Return a pod's state in one word, as kubectl prints it: Running, Terminating, ErrImageNeverPull, ..."""
    if terminating(pod):
        return "Terminating"
    for container in pod.get("status", {}).get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return str(waiting.get("reason", "Waiting"))
    return str(pod.get("status", {}).get("phase", "Unknown"))


def pod_ready(pod: Object) -> bool:
    """Return whether a pod (or node) is ready and not terminating."""
    return not terminating(pod) and condition(pod, "Ready").get("status") == "True"
