"""The readiness of deployments, pods and nodes, for objects recorded from a real API server."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubetasks.kube import problems, readiness, states
from kubetasks.kube.problems import Evidence
from kubetasks.kube.readiness import Rollout
from kubetasks.terminal.wait import Done, Failed, Pending, State
from tests.unit.kube.answers import recorded

NODE = "simple-server-control-plane"
LATER = datetime(2100, 1, 1, tzinfo=UTC)


def judge(objects: Any, since: datetime | None = None) -> State:
    started = {NODE: since} if since else {}
    return readiness.rollout_state(Rollout(**objects), started)


@pytest.mark.parametrize(
    ("name", "status", "state"),
    [
        ("ready", {}, Done("3 of 3 pods ready")),
        ("ready", {"updatedReplicas": 1, "replicas": 4}, Pending("1 of 3 new pods created")),
        ("ready", {"updatedReplicas": 3, "replicas": 4}, Pending("old pods still terminating: 1")),
        ("ready", {"updatedReplicas": 5, "replicas": 5}, Pending("surplus pods still terminating: 2")),
        ("ready", {"availableReplicas": 2}, Pending("2 of 3 pods ready")),
        ("ready", {"observedGeneration": 1}, Pending("waiting for the deployment controller")),  # however ready it looks
        ("starting", {}, Pending("0 of 1 pods ready (ContainerCreating)")),
        # a broken pod of an older template does not fail the rollout that fixes it
        ("mending", {}, Pending("0 of 1 pods ready (ContainerCreating)")),
    ],
)
def test_how_far_a_rollout_is(name: str, status: dict[str, int], state: State) -> None:
    objects = recorded(name)
    objects["workload"]["status"].update(status)
    assert judge(objects) == state


def test_a_container_that_ended_with_its_node_does_not_keep_crashing() -> None:
    objects = recorded("crashing")
    (status,) = objects["pods"][0]["status"]["containerStatuses"]
    status["lastState"]["terminated"] |= {"reason": "Unknown", "exitCode": 255}
    assert judge(objects) == Pending("0 of 1 pods ready (CrashLoopBackOff)")


def test_pods_that_a_smaller_scale_will_end_do_not_fail_it() -> None:
    objects = recorded("unschedulable")
    objects["workload"]["spec"]["replicas"] = 0
    assert judge(objects) == Pending("surplus pods still terminating: 1")


def test_a_deployment_that_vanished_fails() -> None:
    assert isinstance(readiness.rollout_state(Rollout()), Failed)


def test_a_pod_on_its_way_out_has_no_problem_and_is_not_ready() -> None:
    pod = recorded("crashing")["pods"][0]
    assert problems.of_pod(pod, Evidence())
    pod["metadata"]["deletionTimestamp"] = "2026-11-24T14:00:00Z"
    assert problems.of_pod(pod, Evidence()) is None
    assert states.pod_phase(pod) == "Terminating"
    assert not states.pod_ready(pod)


def test_a_node_counts_as_ready_once_its_kubelet_has_spoken_since_its_own_start_and_one_that_has_not_joined_is_awaited() -> None:
    nodes, leases = recorded("nodes")["nodes"], recorded("leases")["leases"]
    renewed = datetime.fromisoformat(leases[0]["spec"]["renewTime"])
    assert states.node_state(nodes, leases, {NODE: renewed}) == Done()
    assert states.node_state(nodes, leases, {}) == Done(), "when it started is not known"
    assert states.node_state(nodes, leases, {NODE: LATER}) == Pending("0 of 1 nodes ready")
    assert isinstance(states.node_state([], [], {}), Pending)
    assert states.node_state(nodes, leases, {NODE: renewed, "worker": renewed}) == Pending("1 of 2 nodes ready")
    worker, lease = copy.deepcopy(nodes[0]), copy.deepcopy(leases[0])
    worker["metadata"]["name"] = lease["metadata"]["name"] = "worker"
    both = [*nodes, worker], [*leases, lease]
    assert states.node_state(*both, {NODE: renewed, "worker": renewed}) == Done()
    assert states.node_state(*both, {NODE: renewed, "worker": LATER}) == Pending("1 of 2 nodes ready")


@pytest.mark.parametrize(
    ("ran", "code", "since", "steady"),
    [(0, 1, None, False), (3, 1, None, True), (60, 1, None, False), (0, 0, None, True), (0, 1, LATER, True)],
    ids=["crashed at once", "has run for longer", "ran for long", "ended well", "before its node started"],
)
def test_a_container_that_has_just_crashed_must_stay_up_before_it_counts(
    ran: int, code: int, since: datetime | None, steady: bool
) -> None:
    begun, again = LATER - timedelta(seconds=70), LATER - timedelta(seconds=5)
    over = begun + timedelta(seconds=ran)
    ended = {"exitCode": code, "startedAt": begun.isoformat(), "finishedAt": over.isoformat()}
    container = {"lastState": {"terminated": ended}, "state": {"running": {"startedAt": again.isoformat()}}}
    now = again + timedelta(seconds=7 if ran else 1)
    assert states.steady({"status": {"containerStatuses": [container]}}, now, since) is steady


def test_after_a_restart_only_containers_that_were_started_since_count() -> None:
    objects = recorded("ready")
    pods = objects["pods"]
    started = [pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"] for pod in pods]
    assert judge(objects, datetime.fromisoformat(min(started))) == Done("3 of 3 pods ready")
    assert judge(objects, LATER) == Pending("0 of 3 pods are back")
    pods[0]["status"]["containerStatuses"][0]["state"] = {"terminated": {"exitCode": 137}}
    assert judge(objects, datetime.fromisoformat(min(started))) == Pending("2 of 3 pods are back")
