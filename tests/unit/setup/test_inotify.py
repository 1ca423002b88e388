"""Whether Linux's limit of inotify instances leaves room for another node."""

import os
from pathlib import Path

import pytest

from kubetasks.setup import inotify


@pytest.mark.parametrize(("limit", "used_up"), [("128", False), ("12", False), ("11", True), ("4", True)])
def test_the_instances_of_all_processes_are_counted(tmp_path: Path, limit: str, used_up: bool) -> None:
    file = tmp_path / inotify.LIMIT
    file.parent.mkdir(parents=True)
    file.write_text(f"{limit}\n")
    for process, kinds in {"1": ["inotify", "eventfd"], "27": ["inotify", "inotify", "inotify"], "self": ["inotify"]}.items():
        folder = tmp_path / process / "fd"
        folder.mkdir(parents=True)
        for number, kind in enumerate(kinds):
            (folder / str(number)).symlink_to(f"anon_inode:{kind}")
    assert inotify.used_up(tmp_path, os.getuid()) is used_up
    others = int(limit) < inotify.LEAST
    assert inotify.used_up(tmp_path, os.getuid() + 1) is others, "those of somebody else count for somebody else"


def test_where_it_cannot_be_seen_nothing_is_claimed(tmp_path: Path) -> None:
    assert not inotify.used_up(tmp_path)
