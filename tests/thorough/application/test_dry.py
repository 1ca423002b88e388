"""`--dry` shows what a task would do to a deployed application, and changes nothing."""

from pathlib import Path

import pytest

from kubetasks.engine import client
from tests.support import snapshot, source
from tests.support.driver import Tasks
from tests.support.marks import every_provider

# lifecycle/test_up.py has the tasks that would harm the cluster, on one of its own
CHANGING = ("build deploy", "scale --replicas=5", "expose", "up", "rollback", "unexpose", "undeploy", "rmi", "clean")


@pytest.mark.promise("`./inv --echo TASK` prints")
@every_provider
def test_what_is_deployed_stays_as_it_is(app: Tasks, tmp_path: Path) -> None:
    tasks = app.renamed(tmp_path)
    tasks("build", "deploy", "expose")
    images = client.connect().image_tags(tasks.app)
    source.edit_uniquely(tmp_path)
    before = snapshot.objects(tasks)
    for words in CHANGING:
        assert tasks("--dry", *words.split()).stdout, words
        assert snapshot.objects(tasks) == before, words
        assert client.connect().image_tags(tasks.app) == images, words
