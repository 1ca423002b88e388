"""Requests to the application: which pods answered, and how many requests got no answer."""

import itertools
import threading

import pytest

from kubetasks.testing.traffic import Traffic
from tasks import PROJECT


@pytest.fixture
def traffic() -> Traffic:
    """Two pods answer in turn, and every third request gets no answer."""
    answers = itertools.cycle([{"pod": "a"}, {"pod": "b"}, None])
    return Traffic(PROJECT.application, lambda: lambda: next(answers))


def test_each_answer_counts_for_the_pod_that_it_names(traffic: Traffic) -> None:
    made = traffic()
    assert (made.pods, made.answered, made.failed) == ({"a": 20, "b": 20}, 40, 20)


def test_a_load_goes_on_until_the_end_of_the_block(traffic: Traffic) -> None:
    before = set(threading.enumerate())
    with traffic.load() as load:
        load.at_least(5)
        clients = set(threading.enumerate()) - before
        assert len(clients) == 2
    assert clients & set(threading.enumerate()) == set()
    assert load.answered >= 5
