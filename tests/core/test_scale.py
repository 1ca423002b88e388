"""`scale`: the requested number of pods answer, each counts its answers, and no request is lost meanwhile."""

from collections.abc import Callable

import pytest

from tests.support import answers
from tests.support.answers import REQUESTS
from tests.support.driver import Tasks
from tests.support.eventually import pods_left
from tests.support.load import load
from tests.support.marks import every_provider

MORE = 100  # requests that must be answered after each change

pytestmark = every_provider


@pytest.mark.promise("`kubectl scale deployments/simple-server --replicas=3`")
def test_three_pods_answer_and_their_counts_add_up(
    app: Tasks, kubectl: Callable[..., str], record_property: Callable[[str, object], None]
) -> None:
    app("build", "deploy", "expose", "scale")
    pods = set(kubectl("get", "pods", "--output=jsonpath={.items[*].metadata.name}").split())
    assert len(pods) == 3
    answered = answers.spread(app.url(), REQUESTS)
    record_property("traffic", ", ".join(f"{pod} {number}" for pod, number in sorted(answered.requests.items())))
    assert answered.failed == 0
    assert set(answered.requests) == pods, "these three pods answer over fresh connections"
    assert sum(answered.counts.values()) == REQUESTS, "their counts add up to the requests sent"


@pytest.mark.promise("`kubectl scale deployments/simple-server --replicas=3`")
@pytest.mark.usefixtures("mapped_port")
def test_from_three_to_one_and_back_and_no_request_is_lost(app: Tasks, record_property: Callable[[str, object], None]) -> None:
    app("build", "deploy", "expose", "scale")
    with load(app.addresses().values()) as sent:  # in each way that the provider has
        for replicas in (1, 3):
            before = sent.answered
            app.typed("scale", f"--replicas={replicas}")
            assert sent.answered > before, "requests were sent meanwhile"
            answered = answers.spread(app.url(), REQUESTS)
            pods_left(app, replicas)
            assert (set(answered.requests), answered.failed) == (app.pods(), 0)
            sent.at_least(sent.answered + MORE)
    record_property("requests", sent.answered)
    assert sent.reasons == []
    assert len(sent.pods) == 5, "three pods, and two new ones"
