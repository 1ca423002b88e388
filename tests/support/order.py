"""The order of the tests, in which no worker of pytest-xdist waits for another, as far as that can be."""

from typing import Any

import pytest
from xdist.scheduler import LoadScheduling

from kubetasks.testing import session
from tests.support import run
from tests.support.run import PLACES

# by the first of these fixtures that a test uses; one that uses none comes with those of `app`
TURNS = {"alone": 5, "throwaway": 0, "stranger": 1, "mapped_port": 2, "app": 3, "open_page": 4}


def turn(item: pytest.Function) -> int:
    """When a test comes: with a cluster of its own first, with the engine alone last.

    Between them, first come those on the cluster of others, which is then removed: a cluster that waits for its tests takes a
    third of a core. Those that need no engine come last, beside those that have it alone.
    """
    return next((number for fixture, number in TURNS.items() if fixture in item.fixturenames), TURNS["app"])


def arrange(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Sort the tests, the longest of each turn first. Let the controller know which a worker has collected."""
    items.sort(key=lambda item: (turn(item), item.get_closest_marker("long") is None))
    if hasattr(config, "workerinput"):
        session.once(run.of(config).folder, "order", lambda: {"turns": [turn(item) for item in items]})


class Scheduling(LoadScheduling):  # type: ignore[misc]  # it has no types
    """Gives tests with a cluster of their own to PLACES workers, so that none waits for a place, and the others to the rest."""

    def _send_tests(self, node: Any, num: int) -> None:
        turns = session.once(run.of(self.config).folder, "order", dict)["turns"]
        own, alone = TURNS["throwaway"], TURNS["alone"]
        has_place = self.nodes.index(node) < PLACES
        self.pending.sort(key=lambda index: (turns[index] == alone, (turns[index] == own) != has_place, index))
        super()._send_tests(node, num)
