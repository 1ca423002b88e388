"""The order of the tests, in which no worker of pytest-xdist waits for another, as far as that can be."""

from typing import Any

import pytest
from xdist.scheduler import LoadScheduling

from kubetasks.testing import session
from tests.support import run
from tests.support.run import PLACES

PARTS = ("own", "shared", "alone")  # with a cluster of their own, without, and with the engine alone


def parts(items: list[pytest.Item]) -> dict[str, list[pytest.Item]]:
    """The tests of each part, in turn; where it matters, the longest first.

    Among those without a cluster of their own, first come those on the cluster of others, which is then removed: a cluster that
    waits for its tests takes a third of a core. Those that need no engine come last, beside those that have it alone.
    """
    left = list(items)

    def taken(fixture: str) -> list[pytest.Item]:
        found = [item for item in left if fixture in uses(item)]
        left[:] = [item for item in left if item not in found]
        return found

    alone, own, stranger, port, app, engineless = map(
        taken, ("alone", "throwaway", "stranger", "mapped_port", "app", "open_page")
    )
    others = [*app, *left]
    for some in (own, others):
        some.sort(key=lambda item: item.get_closest_marker("long") is None)
    return dict(zip(PARTS, (own, [*stranger, *port, *others, *engineless], alone), strict=True))


def uses(item: pytest.Item) -> list[str]:
    """The names of the fixtures that a test uses, directly or not."""
    return item.fixturenames  # type: ignore[attr-defined,no-any-return]


def note(config: pytest.Config, chosen: dict[str, list[pytest.Item]]) -> None:
    """Let the controller know how many of each part this worker has collected, in turn."""
    if hasattr(config, "workerinput"):
        session.once(run.of(config).folder, "order", lambda: {part: len(items) for part, items in chosen.items()})


class Scheduling(LoadScheduling):  # type: ignore[misc]  # it has no types
    """Gives tests with a cluster of their own to PLACES workers, so that none waits for a place, and the others to the rest."""

    def _send_tests(self, node: Any, num: int) -> None:
        counts = session.once(run.of(self.config).folder, "order", dict)
        own, before_alone = counts["own"], counts["own"] + counts["shared"]
        has_place = self.nodes.index(node) < PLACES
        self.pending.sort(key=lambda index: (index >= before_alone, (index < own) != has_place, index))
        super()._send_tests(node, num)
