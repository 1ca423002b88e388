"""What counts as a problem, and its grace period, for objects recorded from a real API server, some of them changed."""

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubetasks.kube import problems, readiness
from kubetasks.kube.problems import Evidence, Grace, Problem
from kubetasks.kube.readiness import Rollout
from tests.unit.kube.answers import event, recorded

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


def container(objects: Any) -> Any:
    """Return the status of the first pod's only container."""
    (status,) = objects["pods"][0]["status"]["containerStatuses"]
    return status


def waiting(reason: str, message: str) -> Any:
    """Return objects with a pod whose container waits for `reason`."""
    objects = recorded("starting")
    container(objects)["state"] = {"waiting": {"reason": reason, "message": message}}
    return objects


NO_MAP = 'configmap "gone" not found'
STARTS = "services have not yet been read at least once, cannot construct envvars"  # from a kubelet that has just started
UNREACHABLE = (
    'failed to pull and unpack image "localhost:57925/a:b": failed to resolve reference "localhost:57925/a:b": '
    'failed to do request: Head "http://localhost:57925/v2/a/manifests/b": dial tcp [::1]:57925: connect: connection refused'
)


@pytest.mark.parametrize(
    ("reason", "message", "code", "grace", "words"),
    [
        ("ErrImageNeverPull", "", "image-never-pull", Grace.AT_ONCE, "simple-server:2e1c317d3020 is not on the node"),
        ("InvalidImageName", "", "invalid-image-name", Grace.AT_ONCE, "simple-server:2e1c317d3020 is not a valid image name"),
        ("CreateContainerConfigError", NO_MAP, "container-config", Grace.AT_ONCE, NO_MAP),
        ("CreateContainerConfigError", STARTS, "container-config", Grace.LONG, STARTS),
        ("CrashLoopBackOff", "back-off 10s", "crash-loop", Grace.AT_ONCE, "keeps crashing"),
        ("ErrImagePull", "example.com/a:b: not found", "image-pull", Grace.BRIEF, "cannot be pulled: not found."),
        ("ErrImagePull", UNREACHABLE, "image-pull", Grace.LONG, "cannot be pulled: connection refused (localhost:57925)."),
        ("ImagePullBackOff", "pull access denied", "image-pull", Grace.BRIEF, "pull access denied"),
        ("ImagePullBackOff", "dial tcp: i/o timeout", "image-pull", Grace.LONG, "i/o timeout"),
        ("RunContainerError", "no such file", "container-start", Grace.BRIEF, "no such file"),
        ("CreateContainerError", "no command specified", "container-start", Grace.BRIEF, "cannot be started: no command"),
        ("CreateContainerError", "deadline exceeded", "container-create", Grace.LONG, "deadline exceeded"),
    ],
)
def test_a_container_that_waits_has_the_words_and_the_grace_period_of_its_reason(
    reason: str, message: str, code: str, grace: Grace, words: str
) -> None:
    problem = wrong(waiting(reason, message))
    assert (problem.code, problem.grace, problem.container) == (code, grace, "simple-server")
    assert words in problem.sentence


@pytest.mark.parametrize(("restarts", "code", "problem"), [(1, 3, "crash-loop"), (0, 3, ""), (1, 0, "")])
def test_a_container_that_has_crashed_again_and_does_not_wait_yet_keeps_crashing(restarts: int, code: int, problem: str) -> None:
    objects = recorded("starting")
    container(objects).update(state={"terminated": {"exitCode": code, "reason": "Error"}}, restartCount=restarts)
    there = found(objects)
    assert (there.code if there else "") == problem
    if there:
        assert (there.grace, "(Error, exit code 3)" in there.sentence) == (Grace.SOME, True)


def test_an_image_that_the_node_has_just_got_may_still_be_told_as_missing() -> None:
    problem = wrong(recorded("missing-image"), Evidence(delivered="simple-server:missing"))
    assert (problem.code, problem.grace) == ("image-never-pull", Grace.LONG)


def test_a_program_that_cannot_be_started_is_no_crash() -> None:
    objects = recorded("crashing")
    ended = container(objects)["lastState"]["terminated"]
    ended |= {"reason": "StartError", "message": 'exec: "/no/such/program": no such file'}
    problem = wrong(objects)
    assert (problem.code, problem.grace) == ("container-start", Grace.AT_ONCE)
    assert "/no/such/program" in problem.sentence
    container(objects)["state"] = {"terminated": ended}
    problem = wrong(objects)
    assert (problem.code, problem.grace) == ("container-start", Grace.BRIEF), "between two starts"


def test_a_container_that_needs_more_memory_is_told_so_and_not_to_read_an_empty_log() -> None:
    objects = recorded("crashing")
    container(objects)["lastState"]["terminated"] |= {"reason": "OOMKilled", "exitCode": 137}
    problem = wrong(objects)
    assert "OOMKilled" in problem.sentence
    assert problem.hint.startswith("Raise resources.limits.memory")


def test_an_init_container_that_crashes_is_named() -> None:
    objects = recorded("starting")
    objects["pods"][0]["status"]["initContainerStatuses"] = [container(recorded("crashing")) | {"name": "migrate"}]
    problem = wrong(objects)
    assert (problem.code, problem.container) == ("crash-loop", "migrate")


def test_a_pod_that_fits_nowhere_counts_soon_only_if_every_node_takes_pods_and_no_pod_ends_whose_room_it_may_get() -> None:
    objects = recorded("unschedulable")
    grace = [wrong(objects, Evidence(nodes=nodes)).grace for nodes in (READY.nodes, [*(READY.nodes or ()), BEING_MADE], None)]
    assert grace == [Grace.BRIEF, Grace.LONG, Grace.LONG]
    ending = copy.deepcopy(objects["pods"][0])
    ending["metadata"] |= {"name": "ending", "deletionTimestamp": "2026-11-24T14:45:42Z"}
    objects["pods"].append(ending)
    assert wrong(objects).grace is Grace.LONG


def test_a_pod_that_lacks_a_volume_is_given_time_and_no_hint_at_resources() -> None:
    objects = recorded("unschedulable")
    (condition,) = [one for one in objects["pods"][0]["status"]["conditions"] if one["type"] == "PodScheduled"]
    condition["message"] = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    problem = wrong(objects)
    assert (problem.grace, problem.hint) == (Grace.LONG, "Fix k8s/deployment.yaml, then ./inv deploy")


def test_scaling_down_is_the_hint_only_if_some_pods_fit() -> None:
    alone, objects = recorded("unschedulable"), recorded("ready")
    assert "scale" not in wrong(alone).hint
    (pod,) = alone["pods"]
    pod["metadata"]["labels"] = objects["pods"][0]["metadata"]["labels"]
    objects["pods"].append(pod)
    objects["workload"]["spec"]["replicas"] = objects["workload"]["status"]["updatedReplicas"] = 4
    problem = wrong(objects)
    assert (problem.name, problem.hint) == (pod["metadata"]["name"], "./inv scale --replicas=3")


def test_a_change_that_fits_nowhere_is_not_mended_by_fewer_of_it_although_pods_of_before_run() -> None:
    objects, before = recorded("unschedulable"), recorded("ready")
    for one in (objects["workload"], *objects["replica_sets"]):
        one["metadata"]["annotations"][readiness.REVISION] = "2"
    objects["workload"]["spec"]["replicas"] = 4
    objects["replica_sets"] += before["replica_sets"]
    objects["pods"] += before["pods"]
    assert "resources.requests" in wrong(objects).hint


def test_a_deployment_that_is_paused_says_so() -> None:
    objects = recorded("ready")
    objects["workload"]["spec"]["paused"] = True
    assert found(objects) is None, "nothing waits"
    objects["workload"]["status"]["updatedReplicas"] = 0
    assert wrong(objects).code == "paused"


def test_a_deadline_that_has_passed_does_not_hide_why() -> None:
    objects = recorded("crashing")
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out progressing."}
    objects["workload"]["status"]["conditions"] = [late]
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
    """Make the first pod not ready since its container started; return both. Its probe may fail 3 times, once a second."""
    pod = objects["pods"][0]
    pod["spec"]["containers"][0]["readinessProbe"] = {"periodSeconds": 1, "failureThreshold": 3}
    status = container(objects)
    status["ready"], started = False, status["state"]["running"]["startedAt"]
    for condition in pod["status"]["conditions"]:
        condition |= {"lastTransitionTime": started, **({"status": "False"} if "Ready" in condition["type"] else {})}
    return pod, datetime.fromisoformat(started)


@pytest.mark.parametrize(
    ("seconds", "answer", "answered", "another_starts", "grace"),
    [
        pytest.param(2.9, ANSWERED, 1, False, None, id="its probe may still succeed"),
        pytest.param(3.1, ANSWERED, 1, False, Grace.BRIEF, id="it says that it is not ready"),
        pytest.param(1.1, LACKING, 1, False, Grace.BRIEF, id="it lacks the path"),
        pytest.param(3.1, REFUSED, 1, False, Grace.LONG, id="nobody listens yet"),
        pytest.param(3.1, "", 1, False, Grace.LONG, id="no event yet"),
        pytest.param(3.1, ANSWERED, -60, False, Grace.LONG, id="the answer is from before it started"),
        pytest.param(60, ANSWERED, 1, True, Grace.BRIEF, id="it says so"),
        pytest.param(60, REFUSED, 1, True, None, id="its node still starts others"),
        pytest.param(60, "", 1, True, None, id="and has asked nobody yet"),
    ],
)
def test_a_pod_that_is_not_ready_counts_after_its_probes_own_time(
    seconds: float, answer: str, answered: float, another_starts: bool, grace: Grace | None
) -> None:
    objects = recorded("ready")
    objects["workload"]["status"]["availableReplicas"] = 2
    pod, started = running_and_not_ready(objects)
    if another_starts:
        other = objects["pods"][1]["status"]
        other["containerStatuses"][0] |= {"ready": False, "state": {"waiting": {"reason": "ContainerCreating"}}}
        other["conditions"] = [one | {"status": "False"} for one in other["conditions"] if "Ready" in one["type"]]
    answers = {pod["metadata"]["name"]: (started + timedelta(seconds=answered), answer)} if answer else {}
    problem = found(objects, Evidence(started + timedelta(seconds=seconds), answers=answers))
    assert (problem and (problem.code, problem.grace)) == (grace and ("not-ready", grace))


def test_a_pod_that_ends_or_has_a_startup_probe_is_not_awaited() -> None:
    pod, started = running_and_not_ready(recorded("ready"))
    late, startup = started + timedelta(hours=1), copy.deepcopy(pod)
    assert problems.unready(pod, late)
    startup["status"]["containerStatuses"][0]["started"] = False
    assert problems.unready(startup, late) is None
    pod["metadata"]["deletionTimestamp"] = "2026-11-24T15:45:44Z"
    assert problems.unready(pod, late) is None


def test_a_pod_that_was_ready_until_now_has_its_probes_own_time_again() -> None:
    pod, started = running_and_not_ready(recorded("ready"))
    for condition in pod["status"]["conditions"]:
        condition["lastTransitionTime"] = (started + timedelta(hours=1)).isoformat()
    late = problems.unready(pod, started + timedelta(hours=1, seconds=1))
    assert late is not None
    assert (late.lasted, late.allowed) == (1, 3)


def test_the_last_answer_of_a_probe_counts() -> None:
    events = [
        event("a", 44, "Unhealthy", ANSWERED),
        event("a", 43, "Unhealthy", REFUSED),
        event("a", 45, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"),
        event("b", 45, "BackOff", "Back-off restarting failed container"),
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
    _, refusal = objects["workload"]["status"]["conditions"]
    refusal["message"] = message
    problem = wrong(objects)
    assert (problem.code, problem.grace) == (code, grace)
    objects["replica_sets"], objects["pods"] = starting["replica_sets"], starting["pods"]
    assert wrong(objects).grace is beside


def test_a_refusal_that_outlived_its_cause_is_no_problem() -> None:
    objects = recorded("ready")
    objects["workload"]["status"]["conditions"] += recorded("quota")["workload"]["status"]["conditions"]
    assert found(objects) is None


@pytest.mark.parametrize(("reason", "code"), [("FailedMount", "volume-mount"), ("FailedCreatePodSandBox", "container-create")])
def test_a_pod_that_cannot_be_created_is_a_problem_once_that_takes_longer_than_usual(reason: str, code: str) -> None:
    objects = recorded("starting")
    name = objects["pods"][0]["metadata"]["name"]
    message = 'MountVolume.SetUp failed for volume "gone" : configmap "gone" not found'
    events = [event(name, 44, reason, message), event(name, 45, "Scheduled", "assigned")]
    scheduled = datetime(2026, 11, 24, 14, 45, 43, tzinfo=UTC)
    failures = problems.creation_failures(events)
    late = Evidence(scheduled + timedelta(seconds=5), failures=failures)
    assert found(objects, late) is None, "its volumes are mounted: an image is being pulled, or a container created"
    conditions = objects["pods"][0]["status"]["conditions"]
    next(one for one in conditions if one["type"] == "PodReadyToStartContainers")["status"] = "False"
    assert found(objects, Evidence(scheduled + timedelta(seconds=1), failures=failures)) is None
    assert found(objects, Evidence(scheduled + timedelta(seconds=5))) is None
    problem = wrong(objects, late)
    assert (problem.code, problem.grace) == (code, Grace.LONG)
    assert message in problem.sentence
