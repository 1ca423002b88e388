"""Which image or program is wanted: the pulled one, or the one that is built."""

from collections.abc import Callable

import pytest

from kubetasks.engine.client import Engine
from kubetasks.project.versions import DEFAULT_KUBERNETES, KICBASE, KUBERNETES
from kubetasks.setup import requirements
from nodeimages import names
from tests.unit.configured import configured

PULLED = KUBERNETES[DEFAULT_KUBERNETES].pulled


class Present(Engine):
    """An engine that has those images."""

    def __init__(self, *references: str) -> None:
        self._references = references

    def image_id(self, reference: str) -> str | None:
        return "sha256:1" if reference in self._references else None


def built() -> str:
    return names.node(DEFAULT_KUBERNETES)


def pulled() -> str:
    return PULLED


@pytest.mark.parametrize(
    ("way", "there", "wanted", "present"),
    [
        ("pull", (), pulled, False),
        ("pull", (pulled,), pulled, True),
        ("pull", (built,), pulled, False),
        ("build", (), built, False),
        ("build", (built,), built, True),
        ("build", (pulled,), built, False),
        ("auto", (), pulled, False),
        ("auto", (built,), built, True),
        ("auto", (pulled,), pulled, True),
        ("auto", (built, pulled), pulled, True),
    ],
)
def test_an_image_is_pulled_or_built_as_the_setting_says(
    way: str, there: tuple[Callable[[], str], ...], wanted: Callable[[], str], present: bool
) -> None:
    configuration = configured(images=way)
    found = requirements.KIND_NODE_IMAGE.find(Present(*(name() for name in there)), configuration)
    assert found == requirements.Artifact(wanted(), present)


def test_the_image_of_minikubes_nodes_is_there_only_with_its_tag() -> None:
    configuration = configured(images="pull")
    tag = KICBASE.partition("@")[0]
    assert not requirements.MINIKUBE_NODE_IMAGE.find(Present(KICBASE), configuration).present, "minikube would pull it again"
    assert requirements.MINIKUBE_NODE_IMAGE.find(Present(KICBASE, tag), configuration).present


def test_without_an_engine_no_image_is_there() -> None:
    configuration = configured()
    assert requirements.KIND_NODE_IMAGE.find(None, configuration) == requirements.Artifact(PULLED, False)
    assert not requirements.BASE_IMAGE.find(None, configuration).present
