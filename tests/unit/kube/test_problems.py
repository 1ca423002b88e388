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


def wrong(objects: Any, evidence: Evidence = READY) -> Problem:
    problem = found(objects, evidence)
    assert problem is not None
    return problem


def waiting(reason: str, message: str = "") -> Any:
    """A pod whose container waits for that reason."""
    objects = recorded("starting")
    objects["pods"][0]["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": reason, "message": message}}
    return objects


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
    problem = wrong(waiting(reason, message))
    assert (problem.code, problem.grace, problem.container) == (code, grace, "simple-server")
    told = message.rpartition(": ")[2] if code == "image-pull" else message
    assert told.rstrip(".") in problem.sentence or code == "crash-loop"


def test_an_image_that_the_node_has_just_got_may_still_be_told_as_missing() -> None:
    objects = recorded("missing-image")
    problem = wrong(objects, Evidence(delivered="simple-server:missing"))
    assert (problem.code, problem.grace) == ("image-never-pull", Grace.LONG)


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing"])
def test_a_container_that_is_being_made_has_no_problem(reason: str) -> None:
    assert found(waiting(reason)) is None


def test_a_program_that_cannot_be_started_is_no_crash() -> None:
    objects = recorded("crashing")
    (status,) = objects["pods"][0]["status"]["containerStatuses"]
    status["lastState"]["terminated"] |= {"reason": "StartError", "message": 'exec: "/no/such/program": no such file'}
    problem = wrong(objects)
    assert (problem.code, problem.grace) == ("container-start", Grace.AT_ONCE)
    assert "/no/such/program" in problem.sentence
    status["state"] = {"terminated": status["lastState"]["terminated"]}
    problem = wrong(objects)
    assert (problem.code, problem.grace) == ("container-start", Grace.BRIEF), "between two starts"


def test_an_init_container_that_crashes_is_named() -> None:
    objects = recorded("starting")
    crashing = recorded("crashing")["pods"][0]["status"]["containerStatuses"][0]
    objects["pods"][0]["status"]["initContainerStatuses"] = [crashing | {"name": "migrate"}]
    problem = wrong(objects)
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
    assert wrong(objects).grace is Grace.LONG


def test_scaling_down_is_the_hint_only_if_some_pods_fit() -> None:
    objects = recorded("unschedulable")
    assert "scale" not in wrong(objects).hint
    others = recorded("ready")
    others["deployment"]["spec"]["replicas"] = others["deployment"]["status"]["updatedReplicas"] = 4
    pod = copy.deepcopy(others["pods"][0])
    pod["metadata"]["name"] = "another"
    del pod["spec"]["nodeName"]
    pod["status"] = objects["pods"][0]["status"]
    others["pods"].append(pod)
    problem = wrong(others)
    assert (problem.name, problem.hint) == ("another", "./inv scale --replicas=3")


def test_a_change_that_fits_nowhere_is_not_mended_by_fewer_of_it_although_pods_of_before_run() -> None:
    objects, pod = recorded("ready"), copy.deepcopy(recorded("unschedulable")["pods"][0])
    newest = copy.deepcopy(objects["replica_sets"][0])
    for one in (pod, newest):
        one["metadata"]["labels"]["pod-template-hash"] = "changed"
    for one in (newest, objects["deployment"]):
        one["metadata"]["annotations"][readiness.REVISION] = "9"
    objects["replica_sets"].append(newest)
    objects["pods"].append(pod)
    objects["deployment"]["status"]["updatedReplicas"] = 1
    assert "resources.requests" in wrong(objects).hint


def test_a_deployment_that_is_paused_says_so() -> None:
    objects = recorded("ready")
    objects["deployment"]["spec"]["paused"] = True
    assert found(objects) is None, "nothing waits"
    objects["deployment"]["status"]["updatedReplicas"] = 0
    assert wrong(objects).code == "paused"


def test_a_deadline_that_has_passed_does_not_hide_why() -> None:
    objects = recorded("crashing")
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out progressing."}
    objects["deployment"]["status"]["conditions"] = [late]
    assert wrong(objects).code == "crash-loop"
    objects["pods"] = []
    assert wrong(objects).code == "no-progress"


def test_a_pod_that_was_evicted_has_been_replaced() -> None:
    objects = recorded("ready")
    evicted = copy.deepcopy(objects["pods"][0])
    evicted["metadata"]["name"], evicted["status"] = "evicted", {"phase": "Failed", "reason": "Evicted"}
    objects["pods"].append(evicted)
    assert evicted not in readiness.newest_pods(Rollout(**objects))


def running_and_not_ready(objects: Any) -> tuple[Any, datetime]:
    """The first pod, not ready since its container started, and when that was. Its probe may fail 3 times, once a second."""
    pod = objects["pods"][0]
    pod["spec"]["containers"][0]["readinessProbe"] = {"periodSeconds": 1, "failureThreshold": 3}
    (status,) = pod["status"]["containerStatuses"]
    status["ready"], started = False, status["state"]["running"]["startedAt"]
    for condition in pod["status"]["conditions"]:
        condition |= {"lastTransitionTime": started, **({"status": "False"} if "Ready" in condition["type"] else {})}
    return pod, datetime.fromisoformat(started)


@pytest.mark.parametrize(
    ("seconds", "answer", "answered", "another_starts", "grace"),
    [
        (2.9, ANSWERED, 1, False, None),
        (3.1, ANSWERED, 1, False, Grace.BRIEF),
        (1.1, LACKING, 1, False, Grace.BRIEF),
        (3.1, REFUSED, 1, False, Grace.LONG),
        (3.1, "", 1, False, Grace.LONG),
        (3.1, ANSWERED, -60, False, Grace.LONG),
        (60, ANSWERED, 1, True, Grace.BRIEF),
        (60, REFUSED, 1, True, None),
        (60, "", 1, True, None),
    ],
    ids=[
        *(
            "its probe may still succeed",
            "it says that it is not ready",
            "it lacks the path",
            "nobody listens yet",
            "no event yet",
        ),
        *("the answer is from before it started", "it says so", "its node still starts others", "and has asked nobody yet"),
    ],
)
def test_a_pod_that_is_not_ready_counts_after_its_probes_own_time(
    seconds: float, answer: str, answered: float, another_starts: bool, grace: Grace | None
) -> None:
    objects = recorded("ready")
    objects["deployment"]["status"]["availableReplicas"] = 2
    pod, started = running_and_not_ready(objects)
    if another_starts:
        other = objects["pods"][1]["status"]
        other["containerStatuses"][0] |= {"ready": False, "state": {"waiting": {"reason": "ContainerCreating"}}}
        other["conditions"] = [one | {"status": "False"} for one in other["conditions"] if "Ready" in one["type"]]
    answers = {pod["metadata"]["name"]: (started + timedelta(seconds=answered), answer)} if answer else {}
    problem = found(objects, Evidence(started + timedelta(seconds=seconds), answers=answers))
    assert (problem and (problem.code, problem.grace)) == (grace and ("not-ready", grace))


@pytest.mark.parametrize("what", ["terminating", "starting up"])
def test_a_pod_that_ends_or_has_a_startup_probe_is_not_awaited(what: str) -> None:
    pod, started = running_and_not_ready(recorded("ready"))
    later = started + timedelta(hours=1)
    assert problems.unready(pod, later)
    if what == "terminating":
        pod["metadata"]["deletionTimestamp"] = "2026-11-24T15:45:44Z"
    else:
        pod["status"]["containerStatuses"][0]["started"] = False
    assert problems.unready(pod, later) is None


def test_a_pod_that_was_ready_until_now_has_its_probes_own_time_again() -> None:
    pod, started = running_and_not_ready(recorded("ready"))
    for condition in pod["status"]["conditions"]:
        condition["lastTransitionTime"] = (started + timedelta(hours=1)).isoformat()
    late = problems.unready(pod, started + timedelta(hours=1, seconds=1))
    assert late is not None
    assert (late.lasted, late.allowed) == (1, 3)


def test_a_pull_that_fails_is_told_with_the_registry_and_the_last_cause() -> None:
    image = "localhost:57925/simple-server:abc"
    chain = 'Head "http://localhost:57925/v2/simple-server/manifests/abc": dial tcp [::1]:57925: connect: connection refused'
    message = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": failed to do request: {chain}'
    objects = recorded("missing-image")
    for pod in objects["pods"]:
        for status in pod["status"]["containerStatuses"]:
            if "waiting" in status["state"]:
                status |= {"image": image, "state": {"waiting": {"reason": "ErrImagePull", "message": message}}}
    problem = wrong(objects)
    assert problem.sentence.endswith(f"the image {image} cannot be pulled: connection refused (localhost:57925).")


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
    ("message", "code", "grace", "beside"),
    [
        ('pods "a" is forbidden: exceeded quota: none, requested: pods=1', "quota", Grace.SOME, Grace.LONG),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest"', "pods-refused", Grace.BRIEF, Grace.BRIEF),
        ('failed calling webhook "theirs": connection refused', "pods-refused", Grace.LONG, Grace.LONG),
    ],
)
def test_what_refuses_a_pod_is_told_apart_and_only_a_quota_has_room_once_another_pod_has_started(
    message: str, code: str, grace: Grace, beside: Grace
) -> None:
    objects, starting = recorded("quota"), recorded("starting")
    refusing(objects)["message"] = message
    problem = wrong(objects)
    assert (problem.code, problem.grace) == (code, grace)
    objects["replica_sets"], objects["pods"] = starting["replica_sets"], starting["pods"]
    assert wrong(objects).grace is beside


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


def test_a_container_that_needs_more_memory_is_told_so_and_not_to_read_an_empty_log() -> None:
    objects = recorded("crashing")
    for pod in objects["pods"]:
        for status in pod["status"]["containerStatuses"]:
            status["lastState"]["terminated"] |= {"reason": "OOMKilled", "exitCode": 137}
    problem = wrong(objects)
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
    problem = wrong(objects, late)
    assert (problem.code, problem.grace) == ("volume-mount", Grace.LONG)
    assert message in problem.sentence
