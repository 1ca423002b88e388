"""What counts as a problem, and for how long it may still heal: real objects of an API server, some of them changed."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubetasks.kube import problems, readiness
from kubetasks.kube.problems import KINDS, Evidence, Grace, Problem
from kubetasks.kube.readiness import Rollout
from tests.unit.kube.answers import recorded

READY = Evidence(nodes=[{"spec": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}])
BEING_MADE = {"spec": {"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}, "status": {"conditions": []}}
LACKING = "Readiness probe failed: HTTP probe failed with statuscode: 404"
ANSWERED = "Readiness probe failed: HTTP probe failed with statuscode: 503"
REFUSED = 'Readiness probe failed: Get "http://10.244.0.7:8080/readyz": dial tcp 10.244.0.7:8080: connect: connection refused'


def found(objects: Any, evidence: Evidence = READY) -> Problem | None:
    return readiness.problem(Rollout(**objects, evidence=evidence))


def waiting(reason: str, message: str = "") -> Problem | None:
    objects = recorded("starting")
    objects["pods"][0]["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": reason, "message": message}}
    return found(objects)


@pytest.mark.parametrize(
    ("reason", "message", "code", "grace"),
    [
        ("ErrImageNeverPull", "", "image-never-pull", Grace.AT_ONCE),
        ("InvalidImageName", "", "invalid-image-name", Grace.AT_ONCE),
        ("CreateContainerConfigError", 'configmap "gone" not found', "container-config", Grace.AT_ONCE),
        (
            "CreateContainerConfigError",
            "services have not yet been read at least once, cannot construct envvars",  # a kubelet that has just started
            "container-config",
            Grace.LONG,
        ),
        ("CrashLoopBackOff", "back-off 10s", "crash-loop", Grace.AT_ONCE),
        ("ErrImagePull", "example.com/a:b: not found", "image-pull", Grace.BRIEF),
        ("ImagePullBackOff", "pull access denied", "image-pull", Grace.BRIEF),
        ("ImagePullBackOff", "dial tcp: i/o timeout", "image-pull", Grace.LONG),
        ("RunContainerError", "no such file", "container-start", Grace.BRIEF),
        ("CreateContainerError", "context deadline exceeded", "container-create", Grace.LONG),
    ],
)
def test_a_container_that_waits_has_the_grace_period_of_its_reason(reason: str, message: str, code: str, grace: Grace) -> None:
    problem = waiting(reason, message)
    assert problem is not None
    assert (problem.code, problem.grace, problem.container) == (code, grace, "simple-server")
    told = message.rpartition(": ")[2] if code == "image-pull" else message
    assert told.rstrip(".") in problem.sentence or code == "crash-loop"


def test_an_image_that_the_node_has_just_got_may_still_be_told_as_missing() -> None:
    objects = recorded("missing-image")
    problem = found(objects, Evidence(delivered="simple-server:missing"))
    assert problem is not None
    assert (problem.code, problem.grace) == ("image-never-pull", Grace.LONG)


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_container_that_is_being_made_has_no_problem(reason: str) -> None:
    assert waiting(reason) is None


def test_a_program_that_cannot_be_started_is_no_crash() -> None:
    objects = recorded("crashing")
    (status,) = objects["pods"][0]["status"]["containerStatuses"]
    status["lastState"]["terminated"] |= {"reason": "StartError", "message": 'exec: "/no/such/program": no such file'}
    problem = found(objects)
    assert problem is not None
    assert (problem.code, problem.grace) == ("container-start", Grace.AT_ONCE)
    assert "/no/such/program" in problem.sentence
    status["state"] = {"terminated": status["lastState"]["terminated"]}
    problem = found(objects)
    assert problem is not None
    assert (problem.code, problem.grace) == ("container-start", Grace.BRIEF), "between two starts"


def test_an_init_container_that_crashes_is_named() -> None:
    objects = recorded("starting")
    crashing = recorded("crashing")["pods"][0]["status"]["containerStatuses"][0]
    objects["pods"][0]["status"]["initContainerStatuses"] = [crashing | {"name": "migrate"}]
    problem = found(objects)
    assert problem is not None
    assert (problem.code, problem.container) == ("crash-loop", "migrate")


def test_a_pod_that_fits_nowhere_counts_soon_only_if_every_node_takes_pods() -> None:
    objects = recorded("unschedulable")
    grace = [found(objects, Evidence(nodes=nodes)) for nodes in (READY.nodes, [*(READY.nodes or ()), BEING_MADE], None)]
    assert [one and one.grace for one in grace] == [Grace.BRIEF, Grace.LONG, Grace.LONG]


def test_a_pod_that_fits_nowhere_may_get_the_room_of_one_that_ends() -> None:
    objects = recorded("unschedulable")
    ending = copy.deepcopy(objects["pods"][0])
    ending["metadata"] |= {"name": "ending", "deletionTimestamp": "2026-11-24T14:45:42Z"}
    objects["pods"].append(ending)
    problem = found(objects)
    assert problem is not None
    assert problem.grace is Grace.LONG


def test_scaling_down_is_the_hint_only_if_some_pods_fit() -> None:
    objects = recorded("unschedulable")
    alone = found(objects)
    assert alone is not None
    assert "scale" not in alone.hint
    others = recorded("ready")
    others["deployment"]["spec"]["replicas"] = others["deployment"]["status"]["updatedReplicas"] = 4
    pod = copy.deepcopy(others["pods"][0])
    pod["metadata"]["name"] = "another"
    del pod["spec"]["nodeName"]
    pod["status"] = objects["pods"][0]["status"]
    others["pods"].append(pod)
    problem = found(others)
    assert problem is not None
    assert (problem.name, problem.hint) == ("another", "./inv scale --replicas=3")


def test_a_change_that_fits_nowhere_is_not_mended_by_fewer_of_it_although_pods_of_before_run() -> None:
    objects, pod = recorded("ready"), copy.deepcopy(recorded("unschedulable")["pods"][0])
    newest = copy.deepcopy(objects["replica_sets"][0])
    for one in (pod, newest):
        one["metadata"]["labels"]["pod-template-hash"] = "changed"
    newest["metadata"]["annotations"][readiness.REVISION] = objects["deployment"]["metadata"]["annotations"][
        readiness.REVISION
    ] = "9"
    objects["replica_sets"].append(newest)
    objects["pods"].append(pod)
    objects["deployment"]["status"]["updatedReplicas"] = 1
    problem = found(objects)
    assert problem is not None
    assert "resources.requests" in problem.hint


def test_a_deployment_that_is_paused_says_so() -> None:
    objects = recorded("ready")
    objects["deployment"]["spec"]["paused"] = True
    assert found(objects) is None, "nothing waits"
    objects["deployment"]["status"]["updatedReplicas"] = 0
    problem = found(objects)
    assert problem is not None
    assert problem.code == "paused"


def test_a_deadline_that_has_passed_does_not_hide_why() -> None:
    objects = recorded("crashing")
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out progressing."}
    objects["deployment"]["status"]["conditions"] = [late]
    problem = found(objects)
    assert problem is not None
    assert problem.code == "crash-loop"
    objects["pods"] = []
    problem = found(objects)
    assert problem is not None
    assert problem.code == "no-progress"


def test_a_pod_that_was_evicted_has_been_replaced() -> None:
    objects = recorded("ready")
    evicted = copy.deepcopy(objects["pods"][0])
    evicted["metadata"]["name"], evicted["status"] = "evicted", {"phase": "Failed", "reason": "Evicted"}
    objects["pods"].append(evicted)
    assert evicted not in readiness.newest_pods(Rollout(**objects))


def not_ready(seconds: float, answer: str = "", answered: float = 1, *, another_starts: bool = False) -> Problem | None:
    """The problem of a pod whose container started so long ago and is not ready; its probe may fail 3 times, once a second.

    The probe got its answer so many seconds after the start. `another_starts`: the container of another pod has not started.
    """
    objects = recorded("ready")
    objects["deployment"]["status"]["availableReplicas"] = 2
    pod = objects["pods"][0]
    pod["spec"]["containers"][0]["readinessProbe"] = {"periodSeconds": 1, "failureThreshold": 3}
    (status,) = pod["status"]["containerStatuses"]
    status["ready"] = False
    for condition in pod["status"]["conditions"]:
        if condition["type"] in ("Ready", "ContainersReady"):
            condition["status"] = "False"
            condition["lastTransitionTime"] = status["state"]["running"]["startedAt"]
    started = datetime.fromisoformat(status["state"]["running"]["startedAt"])
    if another_starts:
        other = objects["pods"][1]["status"]
        other["containerStatuses"][0] |= {"ready": False, "state": {"waiting": {"reason": "ContainerCreating"}}}
        other["conditions"] = [one | {"status": "False"} for one in other["conditions"] if "Ready" in one["type"]]
    answers = {pod["metadata"]["name"]: (started + timedelta(seconds=answered), answer)} if answer else {}
    return found(objects, Evidence(started + timedelta(seconds=seconds), answers=answers))


@pytest.mark.parametrize(
    ("seconds", "answer", "grace"),
    [
        (2.9, ANSWERED, None),
        (3.1, ANSWERED, Grace.BRIEF),
        (1.1, LACKING, Grace.BRIEF),
        (3.1, REFUSED, Grace.LONG),
        (3.1, "", Grace.LONG),
    ],
    ids=[
        "its probe may still succeed",
        "it says that it is not ready",
        "it lacks the path",
        "nobody listens yet",
        "no event yet",
    ],
)
def test_a_pod_that_is_not_ready_counts_after_its_probes_own_time(seconds: float, answer: str, grace: Grace | None) -> None:
    problem = not_ready(seconds, answer)
    assert (problem and (problem.code, problem.grace)) == (grace and ("not-ready", grace))


def test_a_pull_that_fails_is_told_with_the_registry_and_the_last_cause() -> None:
    image = "localhost:57925/simple-server:abc"
    chain = 'Head "http://localhost:57925/v2/simple-server/manifests/abc": dial tcp [::1]:57925: connect: connection refused'
    message = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to do request: {chain}'
    objects = recorded("missing-image")
    for pod in objects["pods"]:
        for status in pod["status"]["containerStatuses"]:
            if "waiting" in status["state"]:
                status |= {"image": image, "state": {"waiting": {"reason": "ErrImagePull", "message": message}}}
    problem = found(objects)
    assert problem is not None
    assert problem.sentence.endswith(f"the image {image} cannot be pulled: connection refused (localhost:57925).")


def test_a_pod_that_does_not_answer_is_no_problem_while_its_node_still_starts_others() -> None:
    assert not_ready(60, REFUSED, another_starts=True) is None
    assert not_ready(60, "", another_starts=True) is None
    assert not_ready(60, ANSWERED, another_starts=True), "it has answered that it is not ready"


def test_what_a_probe_got_before_the_container_started_does_not_count() -> None:
    problem = not_ready(3.1, ANSWERED, answered=-60)
    assert problem is not None
    assert problem.grace is Grace.LONG


@pytest.mark.parametrize("what", ["terminating", "starting up"])
def test_a_pod_that_ends_or_has_a_startup_probe_is_not_awaited(what: str) -> None:
    pod = recorded("ready")["pods"][0]
    (status,) = pod["status"]["containerStatuses"]
    status["ready"] = False
    pod["spec"]["containers"][0]["readinessProbe"] = {"periodSeconds": 1, "failureThreshold": 3}
    later = datetime.fromisoformat(status["state"]["running"]["startedAt"]) + timedelta(hours=1)
    assert problems.unready(pod, later)
    if what == "terminating":
        pod["metadata"]["deletionTimestamp"] = "2026-11-24T15:45:44Z"
    else:
        status["started"] = False
    assert problems.unready(pod, later) is None


def test_a_pod_that_was_ready_until_now_has_its_probes_own_time_again() -> None:
    pod = recorded("ready")["pods"][0]
    (status,) = pod["status"]["containerStatuses"]
    status["ready"] = False
    pod["spec"]["containers"][0]["readinessProbe"] = {"periodSeconds": 1, "failureThreshold": 3}
    now = datetime.fromisoformat(status["state"]["running"]["startedAt"]) + timedelta(hours=1)
    for condition in pod["status"]["conditions"]:
        condition["lastTransitionTime"] = (now - timedelta(seconds=1)).isoformat()
    found = problems.unready(pod, now)
    assert found is not None
    assert (found.lasted, found.allowed) == (1, 3)


def test_the_last_answer_of_a_probe_counts() -> None:
    def event(pod: str, time: str, message: str, reason: str = "Unhealthy") -> dict[str, Any]:
        return {"involvedObject": {"name": pod}, "reason": reason, "lastTimestamp": time, "message": message}

    events = [
        event("a", "2026-11-24T14:45:44Z", ANSWERED),
        event("a", "2026-11-24T14:45:43Z", REFUSED),
        event("a", "2026-11-24T14:45:45Z", "Liveness probe failed: HTTP probe failed with statuscode: 500"),
        event("b", "2026-11-24T14:45:45Z", "Back-off restarting failed container", "BackOff"),
    ]
    assert problems.probe_answers(events) == {"a": (datetime(2026, 11, 24, 14, 45, 44, tzinfo=UTC), ANSWERED)}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('pods "a" is forbidden: exceeded quota: none, requested: pods=1', "quota"),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest"', "pods-refused"),
    ],
)
def test_what_refuses_a_pod_is_told_apart(message: str, code: str) -> None:
    objects = recorded("quota")
    refusing(objects)["message"] = message
    problem = found(objects)
    assert problem is not None
    assert problem.code == code
    assert problem.grace < Grace.LONG


@pytest.mark.parametrize(
    ("message", "grace"),
    [
        ("exceeded quota: none", Grace.LONG),
        ('violates PodSecurity "restricted"', Grace.BRIEF),
        ('Internal error occurred: failed calling webhook "theirs": connection refused', Grace.LONG),
    ],
)
def test_a_pod_beyond_the_quota_waits_while_another_starts_and_one_that_is_not_admitted_does_not(
    message: str, grace: Grace
) -> None:
    objects = recorded("quota")
    starting = recorded("starting")
    objects["replica_sets"], objects["pods"] = starting["replica_sets"], starting["pods"]
    refusing(objects)["message"] = message
    problem = found(objects)
    assert problem is not None
    assert problem.grace is grace


def test_a_refusal_that_outlived_its_cause_is_no_problem() -> None:
    objects = recorded("ready")
    objects["deployment"]["status"]["conditions"].append(refusing(recorded("quota")))
    assert found(objects) is None


def refusing(objects: Any) -> Any:
    """The condition that says why pods are refused."""
    conditions = objects["deployment"]["status"]["conditions"]
    return next(one for one in conditions if one["type"] == "ReplicaFailure")


def test_every_kind_can_be_put_into_words() -> None:
    facts = dict.fromkeys(("image", "message", "ending", "fits", "seconds", "first", "back", "kubectl", "job"), "WORD")
    for code in KINDS:
        problem = problems.of_kind(code, "NAME", "", None, **facts)
        assert "{" not in problem.sentence + problem.hint
        assert problem.hint


def test_a_recorded_time_is_not_needed_where_nothing_is_wrong() -> None:
    assert found(recorded("ready"), Evidence(datetime.now(UTC))) is None


def test_a_container_that_needs_more_memory_is_told_so_and_not_to_read_an_empty_log() -> None:
    objects = recorded("crashing")
    for pod in objects["pods"]:
        for status in pod["status"]["containerStatuses"]:
            status["lastState"]["terminated"] |= {"reason": "OOMKilled", "exitCode": 137}
    problem = found(objects, Evidence(datetime.now(UTC)))
    assert problem
    assert "OOMKilled" in problem.sentence
    assert problem.hint.startswith("Raise resources.limits.memory")


def test_a_volume_that_cannot_be_mounted_is_a_problem_once_creating_takes_longer_than_usual() -> None:
    objects = recorded("starting")
    name = objects["pods"][0]["metadata"]["name"]
    message = 'MountVolume.SetUp failed for volume "gone" : configmap "gone" not found'
    events = [
        {"reason": "FailedMount", "message": message, "involvedObject": {"kind": "Pod", "name": name}},
        {"reason": "Scheduled", "message": "assigned", "involvedObject": {"kind": "Pod", "name": name}},
    ]
    scheduled = datetime(2026, 11, 24, 14, 45, 43, tzinfo=UTC)
    mounts = problems.mount_failures(events)
    late = Evidence(scheduled + timedelta(seconds=5), mounts=mounts)
    assert found(objects, late) is None, "its volumes are mounted: an image is being pulled, or a container created"
    conditions = objects["pods"][0]["status"]["conditions"]
    next(one for one in conditions if one["type"] == "PodReadyToStartContainers")["status"] = "False"
    assert found(objects, Evidence(scheduled + timedelta(seconds=1), mounts=mounts)) is None
    assert found(objects, Evidence(scheduled + timedelta(seconds=5))) is None
    problem = found(objects, late)
    assert problem
    assert (problem.code, problem.grace) == ("volume-mount", Grace.LONG)
    assert message in problem.sentence
