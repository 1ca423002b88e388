"""One look at the application serves all tasks of an invocation, until something changes."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kubetasks.pipeline import app, build
from tests.unit.pipeline.living import LivingKube, world


def test_tasks_that_change_nothing_read_each_object_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, read = world(tmp_path, monkeypatch), Counter[str]()
    app.up(there.run)
    there.run.forget("seen")
    asked = LivingKube.request

    def counted(kube: LivingKube, method: str, target: str, *given: Any) -> Any:
        read[f"{method} {target}"] += 1
        return asked(kube, method, target, *given)

    monkeypatch.setattr(LivingKube, "request", counted)
    build.build(there.run)
    app.deploy(there.run)
    app.expose(there.run)
    app.scale(there.run, 3)
    own = {words: times for words, times in read.items() if "/namespaces/default/" in words}
    assert len(own) == 9, (
        "three objects are read and applied; replica sets, pods and endpoints are listed, and the scale is known"
    )
    assert set(own.values()) == {1}
