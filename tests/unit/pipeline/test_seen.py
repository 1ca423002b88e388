"""One look at the application serves all tasks of an invocation, until something changes."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kubetasks.pipeline import app, build, run
from tests.unit.pipeline.living import LivingKube, world


def test_tasks_that_change_nothing_read_each_object_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, read = world(tmp_path, monkeypatch), Counter[str]()
    app.up(there.run)
    there.run.forget("seen")
    asked = LivingKube.request

    def counted(kube: LivingKube, method: str, target: str, query: Any = None, *given: Any) -> Any:
        read[f"{method} {target} {'dryRun' in (query or {})}"] += 1
        return asked(kube, method, target, query, *given)

    monkeypatch.setattr(LivingKube, "request", counted)
    build.build(there.run)
    app.deploy(there.run)
    app.expose(there.run)
    app.scale(there.run, 3)
    own = {words: times for words, times in read.items() if "/namespaces/default/" in words}
    assert len(own) == 12, "three objects are read, rehearsed and applied; replica sets, pods and endpoints are listed"
    assert set(own.values()) == {1}


def test_what_others_have_changed_while_somebody_waited_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = world(tmp_path, monkeypatch)
    app.up(there.run)
    assert there.run.seen.deployment
    there.kube.one("Deployment")["spec"]["replicas"] = 5
    monkeypatch.setattr(run, "LOOK_SECONDS", -1.0)
    app.scale(there.run, 3)
    assert there.kube.one("Deployment")["spec"]["replicas"] == 3
