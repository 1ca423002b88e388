"""Objects that are waited for together: one that crashes may need another that is not ready yet."""

from types import SimpleNamespace
from typing import Any

from kubetasks.kube.client import Object
from kubetasks.kube.readiness import Rollout
from kubetasks.pipeline.waits import ReadyCheck
from kubetasks.terminal.wait import Done, Failed, Pending

AWAITED: list[Object] = [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}} for name in ("worker", "database")]
STARTS: dict[str, Any] = {}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def crashed(restarts: int, reason: str = "CrashLoopBackOff") -> dict[str, Any]:
    container = {"name": "main", "image": "shop:1", "restartCount": restarts, "state": {"waiting": {"reason": reason}}}
    return {"containerStatuses": [container]}


def check(*looks: tuple[dict[str, Any], dict[str, Any]]) -> ReadyCheck:
    """Return a check of a worker and a database, which are in these states at successive looks."""
    statuses = iter([status for look in looks for status in look])

    def rollout_of(item: Object) -> Rollout:
        spec = {"containers": [{"name": "main"}]}
        metadata = {**item["metadata"], "creationTimestamp": "2026-01-01T00:00:00Z"}
        found = {**item, "metadata": metadata, "spec": spec, "status": next(statuses)}
        return Rollout(found, pods=[found])

    seen = SimpleNamespace(rollout_of=rollout_of)
    run: Any = SimpleNamespace(seen=seen, cluster=SimpleNamespace(since={}), settings=SimpleNamespace(grace_period=1))
    return ReadyCheck(run, AWAITED, "")


def test_one_that_crashes_has_failed_once_it_crashes_again_when_all_else_is_ready() -> None:
    look = check((crashed(1), STARTS), (crashed(2), READY), (crashed(2), READY), (crashed(3), READY))
    assert look() == Pending("pod/database: it is not Ready yet; pod/worker may need it")
    assert [pod["metadata"]["name"] for pod in look.failing[0].pods] == ["worker"], "at the deadline it is told"
    assert [look(), look()] == [Pending("pod/worker: its container is being restarted")] * 2
    state = look()
    assert isinstance(state, Failed)
    assert (state.code, state.subject, state.grace) == ("crash-loop", "worker", 0.0)


def test_one_that_gets_what_it_lacked_is_ready() -> None:
    look = check((crashed(1), STARTS), (crashed(1), READY), (READY, READY))
    assert [type(look()) for _ in range(3)] == [Pending, Pending, Done]


def test_one_that_crashes_beside_what_is_ready_has_failed() -> None:
    state = check((crashed(1), READY))()
    assert isinstance(state, Failed)
    assert (state.code, state.grace) == ("crash-loop", 0.0)


def test_one_that_lacked_a_secret_has_time_to_be_tried_again() -> None:
    look = check((crashed(0, "CreateContainerConfigError"), STARTS), (crashed(0, "CreateContainerConfigError"), READY))
    assert isinstance(look(), Pending)
    state = look()
    assert isinstance(state, Failed)
    assert (state.code, state.grace) == ("container-config", 10.0)


def test_what_nothing_else_can_heal_fails_at_once() -> None:
    look = check((crashed(2), crashed(0, "ErrImageNeverPull")))
    state = look()
    assert isinstance(state, Failed)
    assert state.code == "image-never-pull"
    assert [one.pods[0]["metadata"]["name"] for one in look.failing] == ["database", "worker"], "the other is told too"
