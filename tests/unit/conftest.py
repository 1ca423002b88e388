"""Messages use the words of this repository's project, as when its tasks run."""

from collections.abc import Iterator

import pytest

from kubetasks.project import words
from tasks import PROJECT


@pytest.fixture(autouse=True)
def own_words() -> Iterator[None]:
    with words.spoken(PROJECT.words):
        yield
