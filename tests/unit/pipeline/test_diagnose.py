"""What is in the file that a diagnosis names."""

from pathlib import Path

import pytest

from kubetasks.errors import RolloutError
from kubetasks.pipeline import app
from kubetasks.project import words
from kubetasks.project.application import Project
from tests.unit.pipeline.living import world


def test_the_file_with_the_details_has_the_log_as_it_is_and_the_words_of_the_project_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = world(tmp_path, monkeypatch)
    there.kube.last_words = "INVOKE_APP_TIMEOUT: see docs/setup.md"
    there.kube.broken[there.run.image.reference] = "CrashLoopBackOff"
    with words.spoken(Project(tmp_path, there.run.app).words), pytest.raises(RolloutError):
        app.up(there.run)
    file = there.run.settings.cache / "logs" / "diagnosis-ours-default.log"
    written = file.read_text()
    assert "kubetasks logs" in written
    assert "./inv" not in written
    assert there.kube.last_words in written
    assert file.stat().st_mode & 0o077 == 0
