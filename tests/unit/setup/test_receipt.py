"""The receipt of what setup installed."""

import dataclasses
from pathlib import Path

from kubetasks.project import settings
from kubetasks.setup import receipt
from kubetasks.terminal import locking
from kubetasks.terminal.report import Report
from tasks import PROJECT


def test_the_receipt_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert receipt.read(tmp_path) == receipt.Receipt()
    made = receipt.Receipt(packages=["docker.io"], engine_pid=7, folders=["/var/lib/docker"])
    receipt.write(tmp_path / "new", made)
    assert receipt.read(tmp_path / "new") == made


def test_what_only_a_newer_clone_knows_does_not_break_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "receipt.json").write_text('{"packages": ["docker.io"], "engine_pid": 7, "of_tomorrow": {}}')
    assert receipt.read(tmp_path) == receipt.Receipt(packages=["docker.io"], engine_pid=7)


def test_a_lock_that_another_run_holds_outlives_the_cache(tmp_path: Path) -> None:
    (tmp_path / "receipt.json").write_text("{}")
    with locking.held(tmp_path / "other.lock", Report(), "another run"):
        receipt.discard(tmp_path, Report())
        assert [path.name for path in tmp_path.iterdir()] == ["other.lock"]


def test_no_cluster_has_the_lock_of_setup(tmp_path: Path) -> None:
    named = settings.read(PROJECT, {**settings.DEFAULTS, "cluster": {**settings.DEFAULTS["cluster"], "name": "setup"}}, {})
    named = dataclasses.replace(named, cache=tmp_path)
    with locking.cluster(named, tmp_path / "state", Report()):
        assert receipt.LOCK not in {path.name for path in tmp_path.iterdir()}
