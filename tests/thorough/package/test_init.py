"""`kubetasks init` for applications that have never used kubetasks: what it writes passes its own test."""

import shutil
from pathlib import Path

import pytest

from tests.thorough.package.conftest import Begin

APPS = Path(__file__).parent / "apps"


@pytest.mark.long
@pytest.mark.parametrize(
    ("app", "told", "written"),
    [
        ("wsgi", ["port 5000 EXPOSE in Dockerfile", "health / the default"], "pyproject.toml"),
        ("asgi", ["port 8000 service web in compose.yaml", "health /alive service web in compose.yaml"], "invoke.yaml"),
        pytest.param("go", ["port 8081 EXPOSE in Dockerfile"], "invoke.yaml", marks=pytest.mark.exhaustive),
        pytest.param(
            "node",
            ["port 3000 EXPOSE in docker/Dockerfile", "health / HEALTHCHECK in docker/Dockerfile"],
            "invoke.yaml",
            marks=pytest.mark.exhaustive,
        ),
    ],
    ids=["wsgi", "asgi", "go", "node"],
)
def test_what_it_writes_passes_its_own_test(begin: Begin, on: dict[str, str], app: str, told: list[str], written: str) -> None:
    theirs = begin(APPS / app)
    before = {path: path.read_text() for path in theirs.folder.rglob("*") if path.is_file()}
    words = " ".join(theirs.typed("init", "--yes").split())
    assert f"name {theirs.name} the folder's name" in words
    assert [one for one in told if one not in words] == []
    assert [path for path in before if not path.read_text().startswith(before[path])] == [], "nothing is overwritten"
    assert f"name{' =' if written == 'pyproject.toml' else ':'} " in (theirs.folder / written).read_text()
    assert "Everything is there already." in theirs.typed("init", "--yes")
    if app == "asgi":  # the table alone is enough
        (theirs.folder / "tasks.py").unlink()
        shutil.rmtree(theirs.folder / "k8s")
    assert "2 passed" in theirs.tested(on=on)
    assert theirs.left() == "", "nor is a stage of the build"


def test_without_a_table_or_a_terminal_the_next_command_is_told(begin: Begin) -> None:
    theirs = begin({"Dockerfile": "FROM scratch\n"})
    assert "kubetasks init describes one, from its Dockerfile" in theirs.typed("up", code=2)
    assert "init  Begin with the compose file or the Dockerfile of this folder." in theirs.typed("--list")
    assert "Write these files? stdin is not a terminal; pass --yes." in theirs.typed("init", code=2)
    assert [one.name for one in theirs.folder.iterdir()] == ["Dockerfile"], "nothing was written"
