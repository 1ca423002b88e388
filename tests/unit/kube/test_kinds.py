"""The progress of objects of any kind, and what is wrong with them."""

from typing import Any

import pytest

from kubetasks.kube import readiness
from kubetasks.kube.client import Object
from kubetasks.kube.readiness import Rollout
from kubetasks.terminal.wait import Done, Failed, Pending, State

COUNTED: Object = {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
SCHEDULED: Object = {
    "observedGeneration": 2,
    **dict.fromkeys(("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberAvailable"), 2),
}
CANARY: Object = {"updateStrategy": {"rollingUpdate": {"partition": 2}}}
ON_DELETE: Object = {"updateStrategy": {"type": "OnDelete"}}


def item(kind: str, spec: Object | None = None, **status: Any) -> Object:
    """Return an object of generation 2; capitalised keyword arguments are conditions, the others are status fields."""
    conditions = [{"type": name, "status": value, "message": "why"} for name, value in status.items() if name[0].isupper()]
    told = {name: value for name, value in status.items() if not name[0].isupper()}
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "a", "generation": 2},
        "spec": spec or {},
        "status": {**told, **({"conditions": conditions} if conditions else {})},
    }


def pod(name: str, reason: str = "", created: str = "2026-01-01T00:00:00Z") -> Object:
    state = {"waiting": {"reason": reason}} if reason else {"terminated": {"exitCode": 1}}
    spec = {"containers": [{"name": "main"}]}
    status = {"containerStatuses": [{"name": "main", "image": "shop:1", "state": state, "restartCount": 0}]}
    return {"metadata": {"name": name, "creationTimestamp": created}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("live", "state"),
    [
        (item("StatefulSet", {"replicas": 3}, **COUNTED), Done("3 of 3 pods ready")),
        (item("StatefulSet", {"replicas": 3}, **COUNTED | {"updatedReplicas": 1}), Pending("1 of 3 new pods created")),
        (item("StatefulSet", {"replicas": 3, **CANARY}, **COUNTED | {"updatedReplicas": 1}), Done("3 of 3 pods ready")),
        (item("StatefulSet", {"replicas": 3, **CANARY}, **COUNTED | {"updatedReplicas": 0}), Pending("2 of 3 new pods created")),
        (item("StatefulSet", {"replicas": 3, **ON_DELETE}, **COUNTED | {"updatedReplicas": 0}), Done("3 of 3 pods ready")),
        (item("StatefulSet", {"replicas": 3}), Pending("waiting for the statefulset controller")),
        (item("DaemonSet", **SCHEDULED), Done("2 of 2 pods ready")),
        (item("DaemonSet", **SCHEDULED | {"numberAvailable": 1}), Pending("1 of 2 pods ready")),
        (item("Job"), Pending("it is not Complete yet")),
        (item("Job", {"suspend": True}), Done()),
        (item("Job", failed=2, Failed="False"), Pending("2 attempts have failed")),
        (item("Job", Complete="True"), Done()),
        (item("Pod", Ready="False"), Pending("it is not Ready yet: why")),
        (item("Pod", phase="Succeeded", Ready="False"), Done()),
        (item("CustomResourceDefinition"), Pending("it is not Established yet")),
        (item("CustomResourceDefinition", Established="True", NamesAccepted="True"), Done()),
        (item("Certificate", observedGeneration=1, Ready="True"), Pending("waiting for the certificate controller")),
        (item("Certificate", observedGeneration=2, Ready="Unknown"), Pending("it is not Ready yet: why")),
        (item("Certificate", observedGeneration=2, Ready="True", Issuing="False"), Done()),
        (item("Kustomization", Ready="True", Reconciling="True"), Pending("it is not reconciled yet: why")),
        (item("Rollout", observedGeneration="2"), Done()),
        (item("Application", conditions=[{"type": "SyncError", "message": "why"}, {"kind": "other"}, "text"]), Done()),
        ({**item("Widget"), "status": "text"}, Done()),
        (item("ConfigMap"), Done()),
        (item("HorizontalPodAutoscaler", ScalingActive="False"), Done()),
    ],
)
def test_how_far_it_is(live: Object, state: State) -> None:
    assert readiness.rollout_state(Rollout(live)) == state


@pytest.mark.parametrize(
    ("live", "sentence"),
    [
        (item("Job", Failed="True"), "job/a failed: why."),
        (item("Widget", Stalled="True"), "widget/a failed: why."),
        (item("Pod", phase="Failed", reason="Evicted"), "pod/a failed: Evicted."),
        (item("Pod", phase="Failed"), "pod/a failed: its containers have exited."),
        (item("Job", Suspended="False", Failed="True"), "job/a failed: why."),
    ],
)
def test_one_that_failed_is_told_at_its_newest_pod(live: Object, sentence: str) -> None:
    found = readiness.problem(Rollout(live, pods=[pod("old"), pod("new", created="2026-01-02T00:00:00Z")]))
    assert found
    assert (found.code, found.name, found.container, found.sentence) == ("failed", "new", "main", sentence)


@pytest.mark.parametrize(
    ("spec", "reason", "code"),
    [
        ({"backoffLimit": 6}, "ErrImageNeverPull", "image-never-pull"),
        ({"backoffLimit": 6}, "CrashLoopBackOff", ""),  # the job itself limits how often its container may fail
        ({}, "CrashLoopBackOff", "crash-loop"),
    ],
)
def test_a_pod_that_does_not_start_is_a_problem_before_its_object_has_failed(spec: Object, reason: str, code: str) -> None:
    found = readiness.problem(Rollout(item("Job", spec), pods=[pod("a", reason)]))
    assert (found.code if found else "") == code


GOOD, WAITS = Done(), Pending("0 of 1 pods ready")
CRASH_LOOP, SILENT, HOPELESS = (Failed("", code=code) for code in ("crash-loop", "not-ready", "image-never-pull"))


@pytest.mark.parametrize(
    ("states", "name"),
    [
        ({"a": GOOD, "b": GOOD}, "b"),
        ({"a": GOOD, "b": WAITS, "c": GOOD}, "b"),
        ({"a": CRASH_LOOP, "b": WAITS}, "b"),
        ({"a": WAITS, "b": CRASH_LOOP, "c": HOPELESS}, "c"),
        ({"a": SILENT, "b": GOOD, "c": CRASH_LOOP}, "c"),
    ],
)
def test_of_several_the_one_counts_that_nothing_else_can_heal(states: dict[str, State], name: str) -> None:
    assert readiness.deciding(states) == name
