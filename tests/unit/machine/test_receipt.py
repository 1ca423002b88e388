"""The receipt of what setup installed."""

from pathlib import Path

from kubetasks.machine import receipt


def test_the_receipt_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert receipt.read(tmp_path) == receipt.Receipt()
    made = receipt.Receipt(packages=["docker.io"], engine_pid=7, folders=["/var/lib/docker"])
    receipt.write(tmp_path / "new", made)
    assert receipt.read(tmp_path / "new") == made
