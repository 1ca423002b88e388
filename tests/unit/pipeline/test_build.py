"""In which engine an image must be before a cluster gets it."""

from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.engine import access
from kubetasks.engine.image import Image
from kubetasks.errors import ImageError
from kubetasks.pipeline import build
from tasks import PROJECT
from tests.unit.kube.fakes import FakeKube
from tests.unit.pipeline.fakes import OwnProvider, run_on

IMAGE = Image(PROJECT.application, "0123456789ab", "base")


def having(*references: str) -> Any:
    return SimpleNamespace(image_id=lambda reference: "sha256:1" if reference in references else None)


def test_an_image_that_only_the_node_of_the_shell_has_is_not_delivered_from_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_on(OwnProvider(changed=False), FakeKube())
    monkeypatch.setenv(access.NODE_VARIABLE, "demo")
    run.__dict__.update(engine=having(IMAGE.reference), host_engine=having())
    with pytest.raises(ImageError, match="this shell's docker uses the engine of node demo") as told:
        build.require_built(run, IMAGE)
    assert told.value.hint.endswith("./inv build")
    run.__dict__["host_engine"] = having(IMAGE.reference)
    build.require_built(run, IMAGE)
