"""The tutorial, typed from its first command to its last in a fresh clone."""

from collections.abc import Callable

from tasks import PROJECT
from tests.support.fixtures import TypePage
from tests.support.marks import every_provider

TUTORIAL = PROJECT.folder / "docs" / "tutorial.md"


@every_provider
def test_the_tutorial_prints_what_it_shows(type_page: TypePage, alone_from_here: Callable[[], None]) -> None:
    def before(command: str) -> None:
        if command == "./inv clean --all":  # it removes the application's images
            alone_from_here()

    type_page(TUTORIAL, before)
