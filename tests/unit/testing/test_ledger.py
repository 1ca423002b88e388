"""What a run has noted is removed by itself, or by the next one if it was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from kubetasks.testing import ledger
from kubetasks.testing.ledger import Ledger
from tasks import PROJECT

HOLDS = """\
from kubetasks.testing.ledger import Ledger
held = Ledger("alive")
held.note(cluster="theirs")
print("noted", flush=True)
input()
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_run_removes_the_newest_first() -> None:
    removed: list[ledger.Entry] = []
    mine = Ledger("mine")
    mine.note(cluster="a")
    mine.note(image="b")
    mine.end(removed.append)
    assert removed == [{"image": "b"}, {"cluster": "a"}]
    assert not mine.path.exists()
    mine.end(removed.append)
    assert len(removed) == 2, "nothing is left"


def test_the_next_run_removes_what_a_killed_one_noted_and_nothing_of_one_that_goes_on() -> None:
    removed: list[ledger.Entry] = []
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS], cwd=PROJECT.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "noted\n"
        ledger.remove_dead(removed.append)
        assert removed == []
        process.kill()
    ledger.remove_dead(removed.append)
    assert removed == [{"cluster": "theirs"}]
    ledger.remove_dead(removed.append)
    assert len(removed) == 1


def test_what_could_not_be_removed_stays_noted() -> None:
    mine = Ledger("mine")
    mine.note(cluster="a")

    def fails(_entry: ledger.Entry) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        mine.end(fails)
    removed: list[ledger.Entry] = []
    ledger.remove_dead(removed.append)
    assert removed == [{"cluster": "a"}]
