"""The inner loop as the user sees it: a file is saved, and a line says what is served."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import answers, source
from tests.support.driver import Tasks
from tests.support.marks import every_provider
from tests.support.processes import begun, ended

SERVED = re.compile(r"3 pods serve ([0-9a-f]{12}) after [0-9.]+ s \(building [0-9.]+ s, .+rolling out [0-9.]+ s")


def builds(url: str) -> set[str]:
    """Return the builds that answer at the URL, with "no answer" if a request fails."""
    found = [answers.health(url) for _ in range(answers.REQUESTS)]
    return {str(answer["build"]) if answer else "no answer" for answer in found}


def following(lines: Iterator[str], words: str) -> str:
    """Return the next line with these words; no line up to it may contain a traceback."""
    before: list[str] = []
    for line in lines:
        assert "Traceback" not in line
        if words in line:
            return line
        before.append(line)
    raise AssertionError(f"no line with {words!r} after {''.join(before)}")


@pytest.mark.promise("everything so far", "Save a file of the image", "A rollout that cannot succeed")
@pytest.mark.long
@every_provider
def test_a_saved_change_is_served_and_a_broken_one_is_told_until_ctrl_c(app: Tasks, tmp_path: Path) -> None:
    project = source.changed(tmp_path)
    with begun(app, "dev", folder=project) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "")
        url = following(lines, "http://").strip()
        following(lines, "Watching")
        (first,) = builds(url)

        source.edit_uniquely(project)
        seen = SERVED.search(following(lines, "simple_server/app.py: "))
        assert seen
        assert builds(url) == {seen[1]} != {first}

        whole = (project / "Dockerfile").read_text()
        (project / "Dockerfile").write_text(f"{whole}COPY no-such-file /\n")
        assert re.search("Dockerfile: Building simple-server:.* failed", following(lines, "Dockerfile: "))
        assert builds(url) == {seen[1]}
        (project / "Dockerfile").write_text(whole)
        assert f"3 pods serve {seen[1]} " in following(lines, "Dockerfile: "), "mended"

        source.edit_uniquely(project, "raise RuntimeError")
        assert "keeps crashing" in following(lines, "simple_server/app.py: ")
        assert builds(url) == {seen[1]}, "the last good build keeps serving"

        edited = project / "simple_server" / "app.py"
        whole = edited.read_text().replace("raise RuntimeError", "# mended")
        edited.write_text(whole[: len(whole) // 2])  # like an editor that saves in two steps
        edited.write_text(whole)
        mended = SERVED.search(following(lines, "3 pods serve"))
        assert mended
        assert builds(url) == {mended[1]}

        aside = edited.with_suffix(".py~")  # another editor replaces the file with a new one
        aside.write_text(whole + "# again\n")
        aside.replace(edited)
        mended = SERVED.search(following(lines, "3 pods serve"))
        assert mended
        assert builds(url) == {mended[1]}

        os.killpg(process.pid, signal.SIGINT)
        rest = ended(process, 120)
    assert process.returncode == 0, rest
    assert builds(url) == {mended[1]}, "and after it"
