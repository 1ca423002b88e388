"""What tasks print and change, typed one after the other on a cluster in memory: the transcripts in the folder beside this file.

After a line `$ TASK` comes what is printed: the result, the progress after a `#`, and an error after its exit code. `%` does
something else. The first line has the options of the world. Build ids and the hashes of replica sets are numbered.
"""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from invoke.exceptions import Exit

from kubetasks.project.settings import OURS
from kubetasks.tasks import namespace
from tasks import PROJECT
from tests.unit.pipeline.fakes import RefusedError
from tests.unit.pipeline.living import World, world

UPDATE = "UPDATE_TRANSCRIPTS"  # if this variable is set, a transcript that differs is written anew, and the test still fails
TRANSCRIPTS = Path(__file__).parent / "transcripts"
DONE: dict[str, Callable[[World], Any]] = {
    "the source is edited": lambda it: it.edit("source/Dockerfile", lambda text: f"{text}#\n"),
    "all pods start": lambda it: it.kube.broken.clear(),
    "its pods do not start": lambda it: it.kube.broken.update({it.run.image.reference: "ErrImageNeverPull"}),
    "its pods take long": lambda it: it.kube.broken.update({it.run.image.reference: "ContainerCreating"}),
    "somebody agrees": lambda it: setattr(it.run, "_agreed", True),
    "somebody pauses it": lambda it: it.kube.one("Deployment")["spec"].update(paused=True),
    "somebody takes the service": lambda it: it.kube.one("Service")["metadata"].update(labels={}),
    "somebody uses the image": lambda it: it.engine.used.append("theirs"),
    "the configuration is edited": lambda it: it.edit("k8s/parts.yaml", lambda text: text.replace("blue", "red")),
    "the database does not start": lambda it: it.kube.broken.update({"postgres:17": "ErrImageNeverPull"}),
    "nobody answers": lambda it: setattr(it.kube, "answering", "nobody"),
    "its pods answer": lambda it: setattr(it.kube, "answering", "pods"),
    "somebody answers for ever": lambda it: setattr(it.kube, "answering", "for ever"),
    "the namespace goes": lambda it: it.kube.request("DELETE", "/api/v1/namespaces/default"),
}
BESIDE = "Cluster and image: done"


class Typed:
    """Types the tasks of a transcript."""

    def __init__(self, there: World, capsys: pytest.CaptureFixture[str]) -> None:
        self._there = there
        self._capsys = capsys
        self._names: dict[str, str] = {}

    def __call__(self, transcript: list[str]) -> str:
        """The transcript as it is really printed."""
        made: list[str] = []
        for line in transcript:
            if line.startswith("$ "):
                made += [line, *self._typed(*line[2:].split())]
            elif line == "% changed:":
                made += [line, *self._there.kube.done]
                self._there.kube.done.clear()
            elif line.startswith("% "):
                made.append(line)
                DONE[line[2:]](self._there)
                self._there.run.forget("image", "manifests")
        return "".join(f"{self._numbered(line)}\n" for line in made)

    def _typed(self, name: str, *options: str) -> list[str]:
        self._capsys.readouterr()
        pairs = [option.removeprefix("--").partition("=") for option in options]
        c = SimpleNamespace(config={OURS: {"project": PROJECT, "runs": (self._there.run,)}})
        error: list[str] = []
        try:
            namespace(PROJECT)[name].body(c, **{key: value or True for key, _, value in pairs})
        except Exit as told:
            error = [f"{told.code}: {line}" for line in str(told.message or "").splitlines() or [""]]
        except RefusedError as question:
            error = [f"? {question}"]
        out, err = self._capsys.readouterr()
        if out.startswith("{"):
            out = re.sub(r', "seconds": [0-9.]+', "", json.dumps(json.loads(out)))
        progress = re.sub(r" \(\d+\.\d s\)", "", err).splitlines()
        if BESIDE in progress:  # of what goes on side by side, either may come first
            progress[: progress.index(BESIDE)] = sorted(progress[: progress.index(BESIDE)])
        lines = [*out.splitlines(), *(f"# {line}" for line in progress), *error]
        return [" ".join(line.split()) for line in lines]

    def _numbered(self, line: str) -> str:
        def number(found: re.Match[str]) -> str:
            word = "BUILD" if len(found[0]) == 12 else "SET"
            known = sum(one.startswith(word) for one in self._names.values())
            return self._names.setdefault(found[0], f"{word}{known + 1}")

        line = line.replace(str(self._there.folder), "FOLDER").replace(str(PROJECT.folder), "PROJECT")
        return re.sub(r"\b[0-9a-f]{12}\b|(?<=-)[0-9a-f]{5}(?=-\d)", number, line)


@pytest.mark.parametrize("name", sorted(path.stem for path in TRANSCRIPTS.iterdir()))
def test_a_transcript_is_what_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file = TRANSCRIPTS / f"{name}.txt"
    options, text = file.read_text().split("\n", 1)
    printed = Typed(world(tmp_path, monkeypatch, **json.loads(options)), capsys)(text.splitlines())
    if os.environ.get(UPDATE):
        file.write_text(f"{options}\n{printed}")
    assert printed == text
