"""Downloads are checked before they are used."""

import hashlib
from pathlib import Path

import pytest

from kubetasks.errors import SetupError
from kubetasks.machine import downloads
from kubetasks.report import Report


def test_a_download_with_another_checksum_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"program")
    target = tmp_path / "bin" / "program"
    with pytest.raises(SetupError, match="not what was pinned"):
        downloads.file(source.as_uri(), "0" * 64, target, Report())
    assert list(target.parent.iterdir()) == []
    downloads.file(source.as_uri(), hashlib.sha256(b"program").hexdigest(), target, Report())
    assert target.read_bytes() == b"program"


def test_a_download_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="could not be downloaded"):
        downloads.file((tmp_path / "nothing").as_uri(), "0" * 64, tmp_path / "target", Report())
