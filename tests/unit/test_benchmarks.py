"""The benchmarks on a machine that lacks what they need."""

import subprocess
import sys

import pytest

from tasks import PROJECT


@pytest.mark.parametrize("name", ["compare", "problems", "rollout", "template"])
def test_with_another_python_than_that_of_the_tests_the_right_one_is_told(name: str) -> None:
    argv = [sys.executable, "-S", f"benchmarks/{name}.py"]  # -S: without any package
    ended = subprocess.run(argv, cwd=PROJECT.folder, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        f"This benchmark needs the packages of the tests: ./inv setup test; .tox/integration/bin/python benchmarks/{name}.py\n"
    )
