"""`logs`: the end of what each pod has written."""

from collections import Counter

from tests.support import answers
from tests.support.driver import Tasks
from tests.support.marks import every_provider

LINES = 100  # of each pod, unless --tail says otherwise


@every_provider
def test_the_last_hundred_lines_of_each_pod(app: Tasks) -> None:
    app("build", "deploy", "expose", "scale", "--replicas=2")
    sent = answers.spread(app.url(), 6 * LINES)
    assert min(sent.requests.values()) > LINES
    printed = app.typed("logs").stdout
    assert Counter(line.partition("]")[0].removeprefix("[") for line in printed.splitlines()) == dict.fromkeys(app.pods(), LINES)
    few = app.typed("logs", "--tail=3").stdout
    assert len(few.splitlines()) == 3 * 2
