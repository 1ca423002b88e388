"""One look at the application serves all tasks of an invocation, until something changes."""

from collections import Counter
from pathlib import Path

import pytest

from kubetasks.errors import ExposeError
from kubetasks.kube.client import FORBIDDEN, ApiError
from kubetasks.pipeline import app, build, run
from tests.unit.failing import raising
from tests.unit.pipeline.living import world


def test_tasks_that_change_nothing_read_each_object_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = world(tmp_path, monkeypatch)
    app.up(there.run)
    there.run.forget("seen")
    there.kube.asked.clear()
    build.build(there.run)
    app.deploy(there.run)
    app.expose(there.run)
    app.scale(there.run, 3)
    asked = [(method, target, "dryRun" in (query or {})) for method, target, query, *_ in there.kube.asked]
    requests = Counter(one for one in asked if "/namespaces/default/" in one[1])
    assert len(requests) == 12, "three objects are read, rehearsed and applied; replica sets, pods and endpoints are listed"
    assert set(requests.values()) == {1}


def test_what_others_have_changed_while_somebody_waited_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = world(tmp_path, monkeypatch)
    app.up(there.run)
    assert there.run.seen.deployment
    there.kube.one("Deployment")["spec"]["replicas"] = 5
    monkeypatch.setattr(run, "LOOK_SECONDS", -1.0)
    app.scale(there.run, 3)
    assert there.kube.one("Deployment")["spec"]["replicas"] == 3


def test_who_may_not_ask_a_pod_learns_that_no_address_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = world(tmp_path, monkeypatch)
    app.up(there.run)
    there.kube.answering = "nobody"
    monkeypatch.setattr(there.kube, "ask", raising(ApiError("GET pods/proxy", FORBIDDEN, "Forbidden", "")))
    with pytest.raises(ExposeError, match="Nothing answers at http"):
        there.run.seen.require_answer()
