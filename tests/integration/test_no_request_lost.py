"""No request fails while pods come and go."""

from collections.abc import Callable
from pathlib import Path

from tests.integration import source
from tests.integration.driver import Tasks
from tests.integration.eventually import eventually
from tests.integration.load import load
from tests.integration.marks import every_provider

ENDED_SECONDS = 60
ENOUGH = 500  # requests during a change

pytestmark = every_provider


@eventually(ENDED_SECONDS)
def pods(app: Tasks, number: int) -> None:
    """Wait until the terminating pods are gone and `number` are left."""
    assert len(app.get("pods")["items"]) == number


def test_while_scaling_to_one_and_back(
    app: Tasks,
    mapped_port: None,  # noqa: ARG001
    record_property: Callable[[str, object], None],
) -> None:
    app("build", "deploy", "expose", "scale")
    urls = [end["url"] for end in app.json("status")["addresses"]]
    assert len(urls) == len(app.ways()), "in each way that the provider has"
    with load(urls) as sent:
        for replicas in (1, 3):
            app.typed("scale", f"--replicas={replicas}")
            pods(app, replicas)
    record_property("requests", sent.answered.total())
    assert sent.failed == []
    assert sent.answered.total() > ENOUGH
    assert len(sent.answered) == 5, "three pods, and two new ones"


def test_while_a_new_build_rolls_out(app: Tasks, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    app("build", "deploy", "expose", "scale")
    urls = [end["url"] for end in app.json("status")["addresses"]]
    before = app.json("traffic")["pods"][0]["build"]
    changed = source.changed(tmp_path)
    with load(urls) as sent:
        app.typed("build", "deploy", folder=changed)
        pods(app, 3)
    record_property("requests", sent.answered.total())
    assert sent.failed == []
    assert sent.answered.total() > ENOUGH
    assert len(sent.answered) == 6, "three pods, and three new ones"
    assert len(sent.builds) == 2
    assert before in sent.builds, "the old build answered until the new one did"
