"""The receipt of what setup installed."""

from pathlib import Path

from kubetasks.setup import receipt
from kubetasks.terminal import locking
from kubetasks.terminal.report import Report
from tests.unit.configured import configured


def test_what_only_a_newer_clone_knows_does_not_break_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "receipt.json").write_text('{"packages": ["docker.io"], "engine_pid": 7, "of_tomorrow": {}}')
    assert receipt.read(tmp_path) == receipt.Receipt(packages=["docker.io"], engine_pid=7)


def test_a_lock_that_another_run_holds_outlives_the_cache(tmp_path: Path) -> None:
    (tmp_path / "receipt.json").write_text("{}")
    with locking.held(tmp_path / "other.lock", Report(), "another run"):
        receipt.discard(tmp_path, Report())
        assert [path.name for path in tmp_path.iterdir()] == ["other.lock"]


def test_no_cluster_has_the_lock_of_setup(tmp_path: Path) -> None:
    with locking.cluster(configured(cluster="setup", cache=tmp_path), tmp_path / "state", Report()):
        assert receipt.LOCK not in {path.name for path in tmp_path.iterdir()}
