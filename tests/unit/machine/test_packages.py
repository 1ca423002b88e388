"""Debian's packages: what is installed by us is noted, and nothing else."""

from pathlib import Path

import pytest

from kubetasks import shell
from kubetasks.machine import packages, receipt


def test_a_package_that_another_apt_is_unpacking_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    states = iter(["ii  curl\niU  libc-bin\nun  runc\nrc  tini\n", "ii  curl\nii  libc-bin\nii  runc\nii  tini\n"])
    monkeypatch.setattr(shell, "run", lambda argv, **_more: next(states) if argv[0] == "dpkg-query" else "runc\ntini\n")
    packages.install(["runc", "tini"], tmp_path, tmp_path / "log")
    assert receipt.read(tmp_path).packages == ["runc", "tini"]
