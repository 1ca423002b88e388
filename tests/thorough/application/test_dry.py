"""`--dry` shows what a task would do to something that is deployed, and does nothing."""

from pathlib import Path

import pytest

from tests.support import snapshot, source
from tests.support.driver import Tasks
from tests.support.marks import every_provider

CHANGING = (
    ("build", "deploy"),
    ("scale", "--replicas=5"),
    ("expose",),
    ("up",),
    ("rollback",),
    ("unexpose",),
    ("undeploy",),
    ("clean",),
    ("stop",),
    ("clean", "--all"),
)


@pytest.mark.promise("`./inv --echo TASK` prints")
@every_provider
def test_what_is_deployed_stays_as_it_is(app: Tasks, tmp_path: Path) -> None:
    app("build", "deploy", "expose")
    changed = source.changed(tmp_path)
    source.edit_uniquely(changed)
    before = snapshot.objects_of_namespace(app)
    for words in CHANGING:
        assert app.typed("--dry", *words, folder=changed).stdout, words
        assert snapshot.objects_of_namespace(app) == before, words
    assert app.provider().phase() == "running"
