"""The file with a diagnosis's details, and the diagnosis of a namespace that has other objects too."""

from pathlib import Path

import pytest

from kubetasks.errors import RolloutError
from kubetasks.kube.client import FORBIDDEN, ApiError
from kubetasks.pipeline import app, diagnose
from kubetasks.project import words
from kubetasks.project.application import Project
from tests.unit.failing import raising
from tests.unit.pipeline.living import World, world


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


def job(there: World, name: str, **status: object) -> None:
    spec = {"template": {"spec": {"containers": [{"name": "main", "image": "job:1"}]}}}
    there.kube._put("Job", "default", name, {"spec": spec, "status": status})


def test_of_a_namespace_what_is_not_the_applications_is_told_too_and_nothing_to_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = world(tmp_path, monkeypatch)
    app.up(there.run)
    there.kube.objects.pop(("Deployment", "default", "simple-server"))
    there.run.forget("seen")
    assert diagnose.of_namespace(there.run).code == "not-deployed"
    complete, failed = ({"type": kind, "status": "True", "message": "no"} for kind in ("Complete", "Failed"))
    job(there, "good", conditions=[complete])
    found = diagnose.of_namespace(there.run)
    assert (found.code, found.sentence) == ("healthy", "Nothing is wrong with job/good.")
    for number in range(5):
        job(there, f"bad{number}", conditions=[failed])
    job(there, "owned", conditions=[failed])
    there.kube.one("Job", "owned")["metadata"]["ownerReferences"] = [{"kind": "Deployment", "uid": "1"}]
    found = diagnose.of_namespace(there.run, [there.kube.one("Job", "bad4")])
    assert (found.sentence, found.next, found.also) == ("job/bad4 failed: no.", "", [])
    found = diagnose.of_namespace(there.run)
    assert (found.sentence, len(found.also), found.text().count("  also ")) == ("job/bad0 failed: no.", 4, 3)
    monkeypatch.setattr(there.kube, "request", raising(ApiError("GET jobs", FORBIDDEN, "Forbidden", "")))
    there.run.forget("seen")
    assert diagnose.of_namespace(there.run).code == "api-refused"
