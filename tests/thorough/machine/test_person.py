"""A user who is not root follows the whole README; only what setup installs is left in their home folder."""

import os
import shutil
import subprocess

import pytest

from tasks import PROJECT
from tests.support import person, source
from tests.support.driver import Tasks
from tests.support.fixtures import TypePage

SETUP_SECONDS = 880  # kind and MetalLB are compiled

pytestmark = [pytest.mark.exhaustive, pytest.mark.skipif(not person.can_be_made(), reason="needs root, useradd and setpriv")]


def test_a_person_who_may_use_the_engine_does_everything_of_the_readme(throwaway: Tasks, type_page: TypePage) -> None:
    with person.made() as somebody:
        skeleton = sorted(path.name for path in somebody.home.iterdir())
        folder = source.clone(somebody.home / "project")
        somebody.owns(folder)
        environment = somebody.environment(os.environ | throwaway.environment)
        subprocess.run([*somebody.words, "./inv", "setup"], cwd=folder, env=environment, check=True, timeout=SETUP_SECONDS)
        shutil.rmtree(folder / ".venv")  # the page starts without it
        type_page(PROJECT.folder / "README.md", by=somebody)
        assert sorted(path.name for path in somebody.home.iterdir()) == sorted([*skeleton, ".cache", "project"])
        assert [path.name for path in (somebody.home / ".cache").iterdir()] == ["kubetasks"]
