"""A user who is not root follows the whole README; only what setup installs is left in their home folder."""

import shutil
from pathlib import Path

import pytest

from tasks import PROJECT
from tests.support import source
from tests.support.driver import Tasks
from tests.support.fixtures import TypePage
from tests.support.runner import machine, possible

SETUP_SECONDS = 880  # kind and MetalLB are compiled

pytestmark = [pytest.mark.exhaustive, pytest.mark.skipif(not possible(), reason="needs root on Debian or Ubuntu")]


def test_a_person_who_may_use_the_engine_does_everything_of_the_readme(
    throwaway: Tasks, type_page: TypePage, tmp_path: Path
) -> None:
    with machine(throwaway.settings.cache, tmp_path / "log") as made:
        folder = source.clone(made.home / "project")
        assert made.run(["./inv", "setup"], folder, throwaway.environment, SETUP_SECONDS) == 0
        shutil.rmtree(folder / ".venv")  # the page starts without it
        type_page(PROJECT.folder / "README.md", by=made)
        assert sorted(path.name for path in made.home.iterdir()) == [".cache", "project"]
        assert [path.name for path in (made.home / ".cache").iterdir()] == ["kubetasks"]
