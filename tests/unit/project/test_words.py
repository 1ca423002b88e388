"""A message uses the words of the project whose task creates it, and of no other."""

from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.errors import TaskError
from kubetasks.project import words
from kubetasks.project.application import Project
from kubetasks.project.settings import OURS
from kubetasks.project.words import DEPLOYMENT, DOCS, INV, INVOKE
from kubetasks.tasks import task


def test_a_task_speaks_of_its_own_project_whatever_was_spoken_of_before(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_run: Any) -> None:
        raise TaskError("It fails.", f"{INV} start; {INVOKE}_APP_TIMEOUT; {DOCS}/setup.md; {DEPLOYMENT}")

    (tmp_path / "k8s").mkdir()
    shop = Project.of("shop", tmp_path, command="inv", prefix="shop")
    monkeypatch.setattr("kubetasks.pipeline.run.begin", lambda *_, **__: None)
    with pytest.raises(TaskError) as failed:
        task.task()(failing).body(SimpleNamespace(config={OURS: {"project": shop}}))
    assert failed.value.hint == f"inv start; INVOKE_SHOP_APP_TIMEOUT; {words.pages()}/setup.md; the deployment in k8s/"
    assert f"{INV} {INVOKE}_APP_TIMEOUT {DOCS}/setup.md {DEPLOYMENT}" == (
        "./inv INVOKE_APP_TIMEOUT docs/setup.md k8s/deployment.yaml"
    )
