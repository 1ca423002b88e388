"""Which image or program is wanted: the pulled one, or the one that is built."""

from typing import Any

import pytest

from kubetasks.project.versions import DEFAULT_KUBERNETES, KICBASE, KUBERNETES
from kubetasks.setup import requirements
from nodeimages import names
from tests.unit.configured import configured
from tests.unit.engine.fakes import FakeEngine

BUILT, PULLED = names.node(DEFAULT_KUBERNETES), KUBERNETES[DEFAULT_KUBERNETES].pulled


@pytest.mark.parametrize(
    ("way", "there", "wanted", "present"),
    [
        ("pull", (BUILT,), PULLED, False),
        ("build", (PULLED,), BUILT, False),
        ("auto", (), PULLED, False),
        ("auto", (BUILT,), BUILT, True),
        ("auto", (BUILT, PULLED), PULLED, True),
    ],
)
def test_an_image_is_pulled_or_built_as_the_setting_says(way: str, there: tuple[str, ...], wanted: str, present: bool) -> None:
    engine: Any = FakeEngine(*there)
    found = requirements.KIND_NODE_IMAGE.find(engine, configured(images=way))
    assert found == requirements.Artifact(wanted, present)


def test_the_image_of_minikubes_nodes_is_there_only_with_its_tag() -> None:
    engine: Any = FakeEngine(KICBASE)
    configuration = configured(images="pull")
    assert not requirements.MINIKUBE_NODE_IMAGE.find(engine, configuration).present, "minikube would pull it again"
    engine.tag(KICBASE, KICBASE.partition("@")[0])
    assert requirements.MINIKUBE_NODE_IMAGE.find(engine, configuration).present
