"""`up`: the image is built beside the cluster that is being created."""

import threading
from collections.abc import Callable

import pytest

from kubetasks import image
from kubetasks.actions import app, cluster
from kubetasks.application import APPLICATION
from kubetasks.errors import EngineError
from kubetasks.image import Image
from tests.unit.actions.fakes import OwnProvider, context


def test_a_build_ends_with_the_creation_that_it_accompanies(monkeypatch: pytest.MonkeyPatch) -> None:
    building, ended = threading.Event(), threading.Event()

    def build(_engine: object, _image: object, _names: object, on_line: Callable[[str], None]) -> None:
        try:
            while True:
                on_line("Step 1/9")
                building.set()
        except EngineError:
            ended.set()
            raise

    def ensure(_context: object) -> bool:
        assert building.wait(10)
        raise KeyboardInterrupt

    made = context(OwnProvider(changed=True))
    made.machine = made.engine = Engine()  # type: ignore[assignment]
    made.node_engine = None
    monkeypatch.setattr(app, "current_image", lambda _context: Image(APPLICATION, "0" * 12, "base"))
    monkeypatch.setattr(image, "build", build)
    monkeypatch.setattr(cluster, "ensure", ensure)
    with pytest.raises(KeyboardInterrupt):
        app.up(made)
    assert ended.is_set(), "nothing of it comes after a clean-up that follows"


class Engine:
    """It has no image."""

    def image_tags(self, _repository: str) -> list[str]:
        return []

    def image_id(self, _reference: str) -> None:
        pass
