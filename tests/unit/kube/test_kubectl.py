"""kubectl port-forward: its output is read continuously, and it ends with its block."""

import os
import sys
from pathlib import Path

import pytest

from kubetasks.errors import ProgramError, SetupError
from kubetasks.kube import kubectl
from tests.support.eventually import until

FORWARDED = "print('Forwarding from 127.0.0.1:40000 -> 8080', flush=True)"
CHATTY = f"""
import os, pathlib, signal, sys
{FORWARDED}
for _ in range(10000):
    print('Handling connection for 40000')
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
signal.pause()
"""


def program(code: str, *words: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, words)]


def test_it_ends_with_its_block_and_its_lines_do_not_fill_the_pipe(tmp_path: Path) -> None:
    told = tmp_path / "told"
    with kubectl.forward(program(CHATTY, told), {}) as address:
        assert address == "127.0.0.1:40000"
        until(lambda: told.read_text() != "")
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


@pytest.mark.parametrize(
    ("argv", "kind", "words"),
    [
        (program("raise SystemExit('pods \"none\" not found')"), ProgramError, 'ended with 1: pods "none" not found'),
        (program("import signal; signal.pause()"), ProgramError, "was killed"),
        (["no-such-program"], SetupError, "no-such-program cannot be run"),
    ],
)
def test_what_forwards_nothing_is_told(argv: list[str], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words), kubectl.forward(argv, {}, timeout=0.5):
        pass
