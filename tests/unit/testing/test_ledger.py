"""What a run has noted is removed by that run or, if it was killed, by the next one."""

import fcntl
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from kubetasks.errors import OwnershipError
from kubetasks.project.application import Project
from kubetasks.testing import ledger
from kubetasks.testing.ledger import Ledger
from kubetasks.testing.session import Session
from tasks import PROJECT

HOLDS = """\
from kubetasks.testing.ledger import Ledger
held = Ledger("alive")
held.note({"cluster": "theirs"})
print("noted", flush=True)
input()
"""


def into(removed: list[ledger.Entry]) -> ledger.Remove:
    return lambda entry, _ledger: removed.append(entry)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_run_removes_the_newest_first() -> None:
    removed: list[ledger.Entry] = []
    mine = Ledger("mine")
    for name in "ab":
        mine.note({"name": name})
    assert mine.end(into(removed)) == []
    assert removed == [{"name": "b"}, {"name": "a"}]
    assert not mine.path.exists()
    assert mine.end(into(removed)) == []
    assert len(removed) == 2, "nothing is left"


def test_the_next_run_removes_what_a_killed_one_noted_and_nothing_of_one_that_goes_on() -> None:
    removed: list[ledger.Entry] = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], cwd=PROJECT.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "noted\n"
        ledger.remove_dead(into(removed))
        assert removed == []
        process.kill()
    ledger.remove_dead(into(removed))
    assert removed == [{"cluster": "theirs"}]
    ledger.remove_dead(into(removed))
    assert len(removed) == 1


def test_what_could_not_be_removed_stays_noted_and_does_not_keep_the_next_run_from_its_work() -> None:
    def fails(entry: ledger.Entry, _ledger: Ledger) -> None:
        if entry["name"] == "theirs":
            raise OwnershipError("It is not ours.", "Look at it")

    killed = Ledger("killed")
    killed.note({"name": "theirs"})
    killed.note({"name": "ours"})
    (problem,) = killed.end(fails)
    assert problem == f"It is not ours.\n  Look at it\n  rm {killed.path} forgets it"
    assert len(ledger.remove_dead(fails)) == 1
    removed: list[ledger.Entry] = []
    ledger.remove_dead(into(removed))
    assert removed == [{"name": "theirs"}]


def test_a_run_whose_file_was_taken_for_that_of_a_killed_one_begins_another(monkeypatch: pytest.MonkeyPatch) -> None:
    mine, lock = Ledger("mine"), fcntl.flock

    def taken(file: object, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        mine.path.unlink()
        lock(file, how)  # type: ignore[arg-type]

    monkeypatch.setattr(fcntl, "flock", taken)
    mine.note({"name": "a"})
    assert mine.path.read_text() == '{"name": "a"}\n'
    mine.end(into([]))


def test_a_note_that_was_cut_off_is_left_out_and_only_an_image_that_another_run_noted_is_known() -> None:
    killed, mine = Ledger("killed"), Ledger("mine")
    killed.path.parent.mkdir(parents=True)
    killed.path.write_text('{"image": "shop:1"}\n{"image": "sh')
    assert mine.named_elsewhere("shop:1")
    (killed.path.parent / "ends.jsonl").symlink_to("gone")  # a run that is just ending
    assert not killed.named_elsewhere("shop:1")
    removed: list[ledger.Entry] = []
    ledger.remove_dead(into(removed))
    assert removed == [{"image": "shop:1"}]


def test_two_applications_of_one_name_get_a_cluster_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Session, "_start", lambda _session, cluster, **_given: dict(cluster.given))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the folder that a run's processes share is in it
    session = Session("t1", {}, keep=False)
    projects = [Project.of("shop", tmp_path, owner=owner) for owner in ("kubetasks-shop", "team-shop", "kubetasks-shop")]
    names = [session.cluster(project).name for project in projects]
    assert names[0] == names[2] != names[1]
    session.end()
