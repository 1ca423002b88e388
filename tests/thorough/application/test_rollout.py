"""A new build replaces the old one, and no request fails meanwhile."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import answers, source
from tests.support.driver import Tasks
from tests.support.eventually import pods_left
from tests.support.load import load
from tests.support.marks import every_provider

MORE = 100  # requests that must be answered after the rollout


@pytest.mark.promise("`deploy` keeps the number of pods")
@every_provider
def test_while_a_new_build_rolls_out_no_request_is_lost(
    app: Tasks, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    app("build", "deploy", "expose", "scale")
    url = app.url()
    before = answers.build(url)
    changed = source.changed(tmp_path)
    with load(app.addresses().values()) as sent:
        said = app.typed("build", "deploy", folder=changed).stderr
        served = {answers.build(url) for _ in range(answers.REQUESTS)}
        assert served == {source.build(said)}, "it has ended when no old pod answers"
        pods_left(app, 3)
        sent.at_least(sent.answered + MORE)
    record_property("requests", sent.answered)
    assert sent.reasons == []
    assert len(sent.pods) == 6, "three pods, and three new ones"
    assert len(sent.builds) == 2
    assert before in sent.builds, "the old build answered until the new one did"
