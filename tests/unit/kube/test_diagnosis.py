"""The one screen: what it says of real objects of an API server, with events and logs."""

import copy
import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kubetasks.kube import diagnosis, readiness
from kubetasks.kube.diagnosis import EXIT_CODES, HEALTHY, LINES, Diagnosis
from kubetasks.kube.problems import KINDS, Grace, Problem
from kubetasks.kube.readiness import Rollout
from tasks import PROJECT
from tests.unit.kube.answers import recorded

NOW = datetime(2026, 11, 24, 14, 46, tzinfo=UTC)


def event(
    name: str, time: str, reason: str, message: str, kind: str = "Warning", count: int = 1, what: str = "Pod"
) -> dict[str, Any]:
    about = {"kind": what, "name": name}
    return {"involvedObject": about, "lastTimestamp": time, "reason": reason, "message": message, "type": kind, "count": count}


def problem_of(objects: Any) -> Problem:
    found = readiness.problem(Rollout(**objects))
    assert found is not None
    return found


def diagnose(objects: Any, events: list[dict[str, Any]] | None = None, log: list[str] | None = None) -> Diagnosis:
    return diagnosis.diagnose(problem_of(objects), Rollout(**objects), events or [], log or [], NOW)


def test_a_missing_image_beside_what_still_serves() -> None:
    objects = recorded("missing-image")
    broken = next(pod["metadata"]["name"] for pod in objects["pods"] if not readiness.pod_ready(pod))
    absent = 'Container image "simple-server:missing" is not present'
    told = [
        event(broken, "2026-11-24T14:45:55Z", "ErrImageNeverPull", absent, count=4),
        event(broken, "2026-11-24T14:45:59Z", "BackOff", "Back-off"),
        event(broken, "2026-11-24T14:45:59Z", "Scheduled", "Successfully assigned", "Normal"),
    ]
    assert diagnose(objects, told).text() == (
        f"Pod {broken} does not run: the image simple-server:missing is not on the node.\n"
        "  code      image-never-pull\n"
        f"  object    pod/{broken}, container simple-server, node simple-server-control-plane\n"
        '  event     ErrImageNeverPull 4 times, 5 s ago: Container image "simple-server:missing" is not present\n'
        "  wanted    simple-server:missing\n"
        "  running   simple-server:v1\n"
        "  changed   deployment/simple-server, now revision 2: 0 of 1 pods ready\n"
        "  serving   1 pod of an earlier revision\n"
        "  next      ./inv build deploy; first docker pull, for an image of others; docs/existing.md for a cluster of others"
    )


def test_a_crash_shows_the_end_of_the_log_before_the_restart() -> None:
    objects = recorded("crashing")
    problem = problem_of(objects)
    assert diagnosis.log_source(problem, objects["pods"]) == (problem.name, "simple-server", True)
    lines = diagnose(objects, [], [f"line {number}" for number in range(500)]).text().splitlines()
    assert lines[-2].strip() == "line 499"
    assert any("log       the last lines of simple-server before its restart" in line for line in lines)


def test_the_screen_has_24_lines_at_most_whatever_there_is_to_say() -> None:
    objects = recorded("crashing")
    (pod,) = objects["pods"]
    long = event(pod["metadata"]["name"], "2026-11-24T14:45:59Z", "Failed", "first line\nsecond line " + "x" * 5000)
    (status,) = pod["status"]["containerStatuses"]
    status["state"]["waiting"] = {"reason": "CreateContainerConfigError", "message": "many\nlines\n" * 50}
    text = dataclasses.replace(diagnose(objects, [long], ["y" * 5000] * 500), details="diagnosis.log").text()
    assert len(text.splitlines()) <= LINES
    assert max(map(len, text.splitlines()[1:])) < 230
    assert text.splitlines()[-1].startswith("  next ")


def test_what_no_pod_can_tell_is_read_from_the_replica_set() -> None:
    objects = recorded("quota")
    name = objects["replica_sets"][0]["metadata"]["name"]
    told = diagnose(objects, [event(name, "2026-11-24T14:45:50Z", "FailedCreate", "exceeded quota: none", what="ReplicaSet")])
    assert told.object == "deployment/simple-server"
    assert told.event == "FailedCreate, 10 s ago: exceeded quota: none"
    assert told.serving == "no pods"


def test_a_pod_that_never_ran_has_no_log() -> None:
    objects = recorded("unschedulable")
    assert diagnosis.log_source(problem_of(objects), objects["pods"]) is None


def test_json_has_the_same_parts() -> None:
    told = diagnose(recorded("crashing"), [], ["the last line"])
    document = json.loads(json.dumps(dataclasses.asdict(told)))
    assert document["code"] == "crash-loop"
    assert document["log"] == ["the last line"]
    assert document["sentence"] in told.text()


@pytest.mark.promise("[problems.md]")
def test_each_code_has_an_exit_code_and_a_paragraph() -> None:
    page = (PROJECT.folder / "docs" / "problems.md").read_text()
    headings = [line.removeprefix("### ").strip("`") for line in page.splitlines() if line.startswith("### ")]
    assert headings == list(EXIT_CODES)
    assert [code for code, number in EXIT_CODES.items() if number == 0] == [HEALTHY, "progressing"]


def test_the_page_has_the_grace_period_of_each_kind() -> None:
    page = (PROJECT.folder / "docs" / "problems.md").read_text().partition("<!-- figures -->")[0]
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| `")]
    told = {row[0].strip("`"): row[3].partition(";")[0] for row in rows}
    words = {Grace.AT_ONCE: "none", Grace.BRIEF: "brief", Grace.SOME: "some", Grace.LONG: "long"}
    assert told == {kind.code: words[kind.grace] for kind in KINDS.values()}


def test_the_revision_to_go_back_to_is_one_that_still_serves() -> None:
    objects = recorded("missing-image")
    before = readiness.revision_before(Rollout(**objects))
    assert before is not None
    assert before.number == 1
    assert before.template["spec"]["containers"][0]["image"] == "simple-server:v1"
    assert "pod-template-hash" not in before.template["metadata"]["labels"]

    serving, newest = sorted(objects["replica_sets"], key=lambda one: not one["status"].get("readyReplicas"))
    broken_too = copy.deepcopy(serving)
    broken_too["metadata"]["annotations"][readiness.REVISION] = "2"
    broken_too["metadata"]["labels"]["pod-template-hash"] = "second"
    broken_too["status"] = {"replicas": 1}
    for one in (objects["deployment"], newest):
        one["metadata"]["annotations"][readiness.REVISION] = "3"
    objects["replica_sets"].append(broken_too)
    assert readiness.revision_before(Rollout(**objects)) == before


def test_the_first_revision_has_none_before_it() -> None:
    assert readiness.revision_before(Rollout(**recorded("crashing"))) is None
