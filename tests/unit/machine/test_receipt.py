"""The receipt of what setup installed."""

from pathlib import Path

from kubetasks.machine import receipt


def test_the_receipt_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert receipt.read(tmp_path) == receipt.Receipt()
    made = receipt.Receipt(packages=["docker.io"], engine_pid=7, folders=["/var/lib/docker"])
    receipt.write(tmp_path / "new", made)
    assert receipt.read(tmp_path / "new") == made


def test_the_receipt_of_an_earlier_version_is_read_and_replaced(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('{"packages": ["docker.io"], "engine_pid": 7, "folders": [], "pulled": []}')
    with receipt.changed(tmp_path) as made:
        assert made == receipt.Receipt(packages=["docker.io"], engine_pid=7)
        made.engine_pid = 0
    assert receipt.read(tmp_path) == receipt.Receipt(packages=["docker.io"])
    assert [path.name for path in tmp_path.iterdir()] == ["receipt.json"]
