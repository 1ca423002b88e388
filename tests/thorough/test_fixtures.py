"""A check of the tests on clusters, the weekly ones included, that needs no cluster."""

import subprocess
import sys

from tasks import PROJECT


def test_each_test_of_each_tier_finds_its_fixtures_also_where_it_runs_on_another_cluster() -> None:
    words = ["-q", "-p", "no:cacheprovider", "--exhaustive", "--setup-plan", "tests/core", "tests/thorough"]
    ended = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=PROJECT.folder, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout
