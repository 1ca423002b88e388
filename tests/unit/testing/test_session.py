"""What a run's processes share is created by one of them, and each gets the result or the error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import PROJECT

ASKS = """\
import os, signal, sys
from pathlib import Path
from kubetasks.errors import ClusterError
from kubetasks.testing.session import once

def make():
    sys.stdin.read()
    with Path("made").open("a") as file:
        file.write("made\\n")
    first = Path("made").read_text() == "made\\n"
    {}
    return {{"name": "shop"}}

print("asks", flush=True)
try:
    print(once(Path("shared"), "cluster-shop", make))
except BaseException as error:
    print(type(error).__name__, error)
"""
SHOP, TOLD = "{'name': 'shop'}\n", "It did not start.\n  kubetasks start\n"


@pytest.mark.parametrize(
    ("happens", "one", "other", "times"),
    [
        ("pass", SHOP, SHOP, 1),
        ("raise ClusterError('It did not start.', 'kubetasks start')", f"ClusterError {TOLD}", f"BrokenError {TOLD}", 1),
        ("1 / 0", "ZeroDivisionError division by zero\n", "\nZeroDivisionError: division by zero\n\n", 1),
        ("raise KeyboardInterrupt", "KeyboardInterrupt \n", "\nKeyboardInterrupt\n\n", 1),
        ("first and os.kill(os.getpid(), signal.SIGKILL)", "", SHOP, 2),  # killed, it could not report an outcome
    ],
)
def test_of_two_processes_one_makes_it_and_both_get_it_or_hear_why_not(
    tmp_path: Path, happens: str, one: str, other: str, times: int
) -> None:
    argv, environment = [sys.executable, "-c", ASKS.format(happens)], {"PYTHONPATH": str(PROJECT.folder)}
    reading, writing = os.pipe()
    both = [
        subprocess.Popen(argv, cwd=tmp_path, env=environment, stdin=reading, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [process.stdout and process.stdout.readline() for process in both] == ["asks\n"] * 2
    os.close(reading)
    os.close(writing)  # the one that makes it waits for this, so both have asked
    first, second = sorted((process.communicate(timeout=60)[0] for process in both), key=lambda told: told != one)
    assert first == one
    assert second.endswith(other)
    assert second.startswith(("BrokenError ", SHOP))
    assert (tmp_path / "made").read_text() == "made\n" * times
