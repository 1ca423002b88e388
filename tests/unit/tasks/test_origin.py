"""What `init` writes for pip: where this installation came from, according to the package's own metadata."""

import hashlib
import json
import shutil
import zlib
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.tasks import origin

COMMIT = {"vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}
PUBLIC = "kubetasks @ git+https://git.example/o/r.git@c0ffee"


def told(monkeypatch: pytest.MonkeyPatch, document: Any) -> str:
    """Return the requirement for an installation with this direct_url.json, or with none if None."""
    text = document and json.dumps(document)
    monkeypatch.setattr(metadata, "distribution", lambda _: SimpleNamespace(version="1.2", read_text=lambda _: text))
    return origin.requirement()


@pytest.mark.parametrize(
    ("document", "requirement"),
    [
        (None, "kubetasks==1.2"),
        ({"url": "https://git.example/o/r.git", **COMMIT}, PUBLIC),
        ({"url": "ssh://git@git.example/o/r.git", **COMMIT}, PUBLIC),
        ({"url": "https://me:secret@git.example/o/r.git", **COMMIT}, PUBLIC),
        ({"url": "file:///srv/r.git", **COMMIT}, origin.UNKNOWN),
        ({"url": "https://files.example/k.whl", "archive_info": {}}, "kubetasks @ https://files.example/k.whl"),
        ({"url": "file:///tmp/k.whl", "archive_info": {}}, origin.UNKNOWN),
    ],
    ids=["index", "git", "git over ssh", "a password", "git of this machine", "archive", "archive of this machine"],
)
def test_it_is_installed_elsewhere_as_it_was_here(monkeypatch: pytest.MonkeyPatch, document: Any, requirement: str) -> None:
    assert told(monkeypatch, document) == requirement


def commit(folder: Path, parent: str = "") -> str:
    """Write a commit of an empty tree to a git repository, and return its id."""
    text = "".join(("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n", f"parent {parent}\n" * bool(parent)))
    text += "author a <a@b.example> 0 +0000\ncommitter a <a@b.example> 0 +0000\n\nit\n"
    data = f"commit {len(text)}\0{text}".encode()
    made = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    (path := folder / "objects" / made[:2] / made[2:]).parent.mkdir(parents=True)
    path.write_bytes(zlib.compress(data))
    return made


@pytest.mark.parametrize(
    ("how", "address", "pushed", "known"),
    [
        ("editable", "https://git.example/o/r", True, "https://git.example/o/r"),
        ("copied", "https://git.example/o/r", True, "https://git.example/o/r"),
        ("run there", "https://git.example/o/r", True, "https://git.example/o/r"),
        ("editable", "git@git.example:o/r.git", True, "https://git.example/o/r.git"),
        ("editable", "ssh://git@git.example:2222/o/r.git", True, "https://git.example/o/r.git"),
        ("editable", "https://token@git.example:8443/o/r", True, "https://git.example:8443/o/r"),
        ("editable", "https://git.example/o/r", False, ""),
        ("editable", "/srv/r.git", True, ""),
        ("editable", "", True, ""),
        ("in a folder of another project", "https://git.example/o/r", True, ""),
    ],
)
def test_a_clone_is_named_by_its_commit_if_others_can_have_that(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str, address: str, pushed: bool, known: str
) -> None:
    # written by hand: a machine that runs this may lack git, and then the origin is unknown
    (made := tmp_path / "my clone" / ".git").mkdir(parents=True)
    (clone := made.parent).joinpath("vendored").mkdir()
    (made / "refs").mkdir()
    (made / "HEAD").write_text("ref: refs/heads/main\n")
    (made / "config").write_text(f'[remote "origin"]\n\turl = {address}\n' if address else "")
    one = commit(made)
    head = one if pushed else commit(made, one)
    (made / "packed-refs").write_text(f"{head} refs/heads/main\n" + (f"{one} refs/remotes/origin/main\n" if address else ""))
    known = known if shutil.which("git") else ""
    if how == "run there":
        monkeypatch.setattr(origin, "__file__", str(clone / "kubetasks" / "tasks" / "origin.py"))
        found = origin.requirement()
    else:
        url = (clone / "vendored" if "folder" in how else clone).as_uri()
        found = told(monkeypatch, {"url": url, "dir_info": {"editable": True} if how == "editable" else {}})
    assert found == (f"kubetasks @ git+{known}@{head}" if known else origin.UNKNOWN)
