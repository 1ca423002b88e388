"""The tutorial, typed from its first command to its last in a fresh clone."""

import pytest

from tasks import PROJECT
from tests.support.fixtures import TypePage
from tests.support.marks import every_provider


@pytest.mark.promise("learn Kubernetes")
@pytest.mark.long
@every_provider
def test_the_tutorial_prints_what_it_shows(type_page: TypePage) -> None:
    type_page(PROJECT.folder / "docs" / "tutorial.md")
