"""Find kubectl, and forward a port with it."""

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kubetasks.errors import ProgramError
from kubetasks.terminal import interruption, shell

FORWARD_SECONDS = 120.0
FORWARDED = re.compile(r"Forwarding from (127\.0\.0\.1:\d+)")


def path() -> str:
    """Return the path of this Python environment's kubectl, otherwise of the one on PATH, or ""."""
    own = Path(sys.executable).with_name("kubectl")
    return str(own) if own.exists() else shutil.which("kubectl") or ""


@contextmanager
def forward(argv: Sequence[str], environment: Mapping[str, str], timeout: float = FORWARD_SECONDS) -> Iterator[str]:
    """Run `kubectl port-forward` during the block, and yield its HOST:PORT. It must listen within `timeout` seconds.

    Raises SetupError, ProgramError.
    """
    process = shell.start(argv, environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    interruption.programs.add(process)
    assert process.stdout
    output = process.stdout
    killing = threading.Timer(timeout, process.kill)
    draining = threading.Thread(target=output.read, daemon=True)  # a line per connection would fill the pipe
    with process:
        try:
            killing.start()
            printed, forwarded = "", None
            while forwarded is None and (line := output.readline()):
                printed, forwarded = printed + line, FORWARDED.match(line)
            if forwarded is None:
                raise ProgramError([*argv], process.wait(), printed)
            killing.cancel()
            draining.start()
            yield forwarded[1]
        finally:
            killing.cancel()
            process.terminate()
            if draining.ident:
                draining.join()
            interruption.programs.discard(process)
