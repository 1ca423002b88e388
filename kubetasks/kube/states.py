"""The state of objects: conditions, phases of pods, ready nodes. Pure functions."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from kubetasks.kube.client import Object, within
from kubetasks.terminal.wait import Done, Pending, State

NOT_SEEN = "Unknown"  # how a container ended if its runtime did not see the end
STEADY_SECONDS = 5.0
RESOLUTION = 3.0  # seconds: the API cuts off both times, and tells of an end up to a second later


def name_of(item: Object) -> str:
    """The object's name."""
    return str(item["metadata"]["name"])


def terminating(item: Object) -> bool:
    """Whether the object has been deleted, and is there until its finalizers are done."""
    return bool(item["metadata"].get("deletionTimestamp"))


def conditions(item: Object) -> dict[str, Object]:
    """The conditions by type."""
    listed = within(item, "status").get("conditions")
    found = map(within, listed if isinstance(listed, list) else [])
    return {str(one["type"]): one for one in found if "type" in one}


def condition(item: Object, kind: str) -> Object:
    """The condition of that type; {} if there is none."""
    return conditions(item).get(kind, {})


def container_statuses(pod: Object) -> list[Object]:
    """The statuses of a pod's containers, those that run first included."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def node_state(nodes: Sequence[Object], leases: Sequence[Object], since: Mapping[str, datetime]) -> State:
    """Done if every node is ready, those in `since` among them, and its kubelet has renewed its lease since it started.

    Until then the API reports the state before the nodes stopped. `leases` are those of the namespace kube-node-lease.
    """
    times = {name_of(lease): lease["spec"].get("renewTime") for lease in leases}
    renewed = {name: datetime.fromisoformat(time) for name, time in times.items() if time}
    expected = since.keys() | {name_of(node) for node in nodes}
    ready = {name_of(node) for node in nodes if pod_ready(node) and name_of(node) in renewed}
    ready -= {name for name in ready & since.keys() if renewed[name] < since[name]}
    return Done() if expected and len(ready) == len(expected) else Pending(f"{len(ready)} of {len(expected)} nodes ready")


def started_since(pod: Object, since: datetime | None) -> bool:
    """Whether all of a pod's containers were started at or after `since`, to the second, as the API reports it."""
    if since is None:
        return True
    started = [
        (container.get("state", {}).get("running") or {}).get("startedAt")
        for container in pod.get("status", {}).get("containerStatuses", [])
    ]
    return all(time and datetime.fromisoformat(time) >= since.replace(microsecond=0) for time in started)


def steady(pod: Object, now: datetime, since: datetime | None) -> bool:
    """Whether each container that has crashed, since its node started, has run for longer than before, or than STEADY_SECONDS."""
    for container in pod.get("status", {}).get("containerStatuses", []):
        running, ended = (within(container, *keys) for keys in (("state", "running"), ("lastState", "terminated")))
        if not running or not ended.get("exitCode") or not ended.get("startedAt") or ended.get("reason") == NOT_SEEN:
            continue
        begun, over, again = map(datetime.fromisoformat, (ended["startedAt"], ended["finishedAt"], running["startedAt"]))
        needed = min((over - begun).total_seconds(), STEADY_SECONDS) + RESOLUTION
        lasted = (now - again).total_seconds()  # far below 0, the clocks do not agree
        if (since is None or over > since) and -RESOLUTION <= lasted <= needed:
            return False
    return True


def pod_phase(pod: Object) -> str:
    """One word for a pod, as kubectl prints it: Running, Terminating, ErrImageNeverPull, ..."""
    if terminating(pod):
        return "Terminating"
    for container in pod.get("status", {}).get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return str(waiting.get("reason", "Waiting"))
    return str(pod.get("status", {}).get("phase", "Unknown"))


def pod_ready(pod: Object) -> bool:
    """Whether a pod (or node) is ready and not terminating."""
    return not terminating(pod) and condition(pod, "Ready").get("status") == "True"
