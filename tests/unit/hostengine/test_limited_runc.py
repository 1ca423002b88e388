"""The runtime wrapper: a container gets no capability that this machine lacks."""

import json
import os
import sys
from pathlib import Path

import pytest

from hostengine import limited_runc

WHOLE = {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]}}
LIMITED = {"capabilities": {"bounding": ["CAP_CHOWN"], "effective": []}}
# /proc/self/status of a process whose bounding set lacks CAP_SYS_RESOURCE (number 24)
STATUS = "Name:\tx\nCapBnd:\t000001fffeffffff\n"


def test_the_lacking_capability_is_named() -> None:
    assert limited_runc.lacking(STATUS, 40) == ["CAP_SYS_RESOURCE"]
    assert limited_runc.lacking("CapBnd:\t000001ffffffffff\n", 40) == []


@pytest.mark.parametrize(
    ("arguments", "document", "rewritten"),
    [
        (["--root", "/r", "create", "--bundle", "{folder}", "--pid-file", "/p", "id"], {"process": WHOLE}, {"process": LIMITED}),
        (["exec", "--process", "{folder}/config.json", "--detach", "id"], WHOLE, LIMITED),
        (["exec", "--process", "{folder}/config.json", "id"], {"args": ["true"]}, {"args": ["true"]}),
        (["exec", "id", "true"], WHOLE, WHOLE),
    ],
)
def test_runc_is_asked_for_no_more_than_there_is_and_nothing_else_is_rewritten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], document: object, rewritten: object
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(document))
    given = [word.format(folder=tmp_path) for word in arguments]
    called: list[object] = []
    monkeypatch.setattr(limited_runc, "bounding_set", lambda _status: {"CAP_CHOWN"})
    monkeypatch.setattr(os, "execvp", lambda *words: called.append(words))
    monkeypatch.setattr(sys, "argv", ["limited-runc", *given])
    limited_runc.main()
    assert json.loads(file.read_text()) == rewritten
    assert called == [("runc", ["runc", *given])]
