"""The diagnosis, which fits on one screen, for objects recorded from a real API server, with events and logs."""

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from kubetasks.kube import diagnosis, readiness, states
from kubetasks.kube.diagnosis import EXIT_CODES, HEALTHY, LINES, Diagnosis
from kubetasks.kube.problems import KINDS, Grace
from kubetasks.kube.readiness import Rollout
from tasks import PROJECT
from tests.unit.kube.answers import event, recorded

NOW = datetime(2026, 11, 24, 14, 46, tzinfo=UTC)


def diagnose(objects: Any, events: Sequence[dict[str, Any]] = (), log: Sequence[str] = ()) -> Diagnosis:
    rollout = Rollout(**objects)
    problem = readiness.problem(rollout)
    assert problem
    return diagnosis.diagnose(problem, rollout, events, log, NOW)


def test_of_several_events_the_one_of_the_problem_is_told() -> None:
    objects = recorded("missing-image")
    broken = next(pod["metadata"]["name"] for pod in objects["pods"] if not states.pod_ready(pod))
    absent = 'Container image "simple-server:missing" is not present'
    told = [
        event(broken, 55, "ErrImageNeverPull", absent, count=4),
        event(broken, 59, "BackOff", "Back-off"),
        event(broken, 59, "Scheduled", "Successfully assigned", type="Normal"),
    ]
    assert diagnose(objects, told).event == f"ErrImageNeverPull 4 times, 5 s ago: {absent}"


def test_the_screen_has_24_lines_at_most_whatever_there_is_to_say() -> None:
    objects = recorded("crashing")
    (pod,) = objects["pods"]
    long = event(pod["metadata"]["name"], 59, "Failed", "first line\nsecond line " + "x" * 5000)
    (status,) = pod["status"]["containerStatuses"]
    status["state"]["waiting"] = {"reason": "CreateContainerConfigError", "message": "many\nlines\n" * 50}
    log = [f"line {number} {'y' * 5000}" for number in range(500)]
    text = dataclasses.replace(diagnose(objects, [long], log), details="diagnosis.log").text()
    assert len(text.splitlines()) <= LINES
    assert max(map(len, text.splitlines()[1:])) < 230
    *_, last, after = text.splitlines()
    assert last.strip().startswith("line 499 "), "the end of the log"
    assert after.startswith("  next ")


def test_what_no_pod_can_tell_is_read_from_the_replica_set() -> None:
    objects = recorded("quota")
    about = {"kind": "ReplicaSet", "name": objects["replica_sets"][0]["metadata"]["name"]}
    events = [event("", 50, "FailedCreate", "exceeded quota: none", involvedObject=about)]
    told = diagnose(objects, events)
    assert told.object == "deployment/simple-server"
    assert told.event == "FailedCreate, 10 s ago: exceeded quota: none"
    assert told.serving == "no pods"
    problem = readiness.problem(Rollout(**objects))
    assert problem
    assert diagnosis.diagnose(problem, Rollout(**objects), events).event.startswith("FailedCreate, "), "at this moment"


def test_a_pod_that_fits_nowhere_is_told_by_its_own_event() -> None:
    objects = recorded("unschedulable")
    pod = next(pod["metadata"]["name"] for pod in objects["pods"] if not states.pod_ready(pod))
    deployments = {"kind": "Deployment", "name": objects["workload"]["metadata"]["name"]}
    other = event("", 59, "FailedCreate", "another one", involvedObject=deployments)
    assert diagnose(objects, [event(pod, 50, "FailedScheduling", "no room"), other]).event.endswith("no room")


@pytest.mark.promise("[problems.md]")
def test_each_code_has_an_exit_code_and_a_paragraph() -> None:
    page = (PROJECT.folder / "docs" / "problems.md").read_text()
    headings = [line.removeprefix("### ").strip("`") for line in page.splitlines() if line.startswith("### ")]
    assert headings == list(EXIT_CODES)
    assert [code for code, number in EXIT_CODES.items() if number == 0] == [HEALTHY, "progressing"]


def test_the_page_has_the_grace_period_of_each_kind() -> None:
    page = (PROJECT.folder / "docs" / "problems.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    told = {row[0].strip("`"): row[3].partition(";")[0] for row in rows}
    words = {Grace.AT_ONCE: "none", Grace.BRIEF: "brief", Grace.SOME: "some", Grace.LONG: "long"}
    assert told == {kind.code: words[kind.grace] for kind in KINDS.values()}
