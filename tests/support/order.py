"""The order of the tests: workers of pytest-xdist wait for each other as little as possible."""

from typing import Any

import pytest
from xdist.scheduler import LoadScheduling

from kubetasks.testing import session
from tests.support import run
from tests.support.run import PLACES

# the first of these fixtures that a test uses decides; a test that uses none runs with those that use `app`
TURNS = {"alone": 5, "throwaway": 0, "stranger": 1, "mapped_port": 2, "app": 3, "open_page": 4}


def turn(item: pytest.Function) -> int:
    """Return a test's turn: tests with their own cluster run first, tests with the engine to themselves run last.

    In between, tests on the existing cluster run first, and it is removed after them: an idle cluster takes a third of a core.
    Tests that need no engine come after the rest, beside those that have it to themselves.
    """
    return next((number for fixture, number in TURNS.items() if fixture in item.fixturenames), TURNS["app"])


def arrange(config: pytest.Config, items: list[pytest.Function]) -> None:
    """Sort the tests by turn, long ones first. A worker reports the turns of the tests that it collected to the controller."""
    items.sort(key=lambda item: (turn(item), item.get_closest_marker("long") is None))
    if hasattr(config, "workerinput"):
        session.once(run.of(config).folder, "order", lambda: {"turns": [turn(item) for item in items]})


class Scheduling(LoadScheduling):  # type: ignore[misc]  # it has no types
    """Sends tests with their own cluster to PLACES workers, so that none waits for a place; others preferably to the rest."""

    def _send_tests(self, node: Any, num: int) -> None:
        turns = session.once(run.of(self.config).folder, "order", dict)["turns"]
        own, alone = TURNS["throwaway"], TURNS["alone"]
        has_place = self.nodes.index(node) < PLACES
        self.pending.sort(key=lambda index: (turns[index] == alone, (turns[index] == own) != has_place, index))
        super()._send_tests(node, num)
