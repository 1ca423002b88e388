"""Run programs that have no SDK, from an argument list and never through a shell."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, Any

from kubetasks.errors import ProgramError, SetupError
from kubetasks.project.words import INV
from kubetasks.terminal import interruption
from kubetasks.terminal.report import waiting_for

TAIL_LINES = 40
SHOWN_CHARACTERS = 120  # of a running command
LONGEST_SECONDS = 7200.0  # that any program may run; building an image may take long
END_SECONDS = 20.0  # between SIGTERM and SIGKILL


def line(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Return the command as typed in a shell."""
    return " ".join([*(f"{key}={shlex.quote(value)}" for key, value in (env or {}).items()), shlex.join(argv)])


def start(argv: Sequence[str], env: Mapping[str, str] | None = None, **options: Any) -> "subprocess.Popen[str]":
    """Start `argv`, with `env` added to the environment. Raises SetupError if the program cannot be run."""
    options = {"stdin": subprocess.DEVNULL, "text": True, "errors": "replace", **options}
    try:
        return subprocess.Popen(argv, env={**os.environ, **(env or {})}, **options)
    except OSError as error:
        raise SetupError(
            f"The program {argv[0]} cannot be run: {error.strerror}.", f"{INV} doctor says how to install it"
        ) from error


def show(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run `argv` with this process's standard streams, and return its exit code. If interrupted, wait for it to end.

    A terminal sends Ctrl-C to the program too; any other signal is passed on as SIGINT.
    """
    with interruption.cleaning():  # an interruption between the start and `try` would leave it running
        process = subprocess.Popen(argv, env={**os.environ, **(env or {})})
        interruption.programs.add(process)
    with process:
        try:
            interruption.check()
            return process.wait()
        except KeyboardInterrupt:
            with interruption.cleaning():
                if interruption.first_signal() != signal.SIGINT or not sys.stdin.isatty():
                    process.send_signal(signal.SIGINT)
                process.wait()
            raise
        finally:
            interruption.programs.discard(process)


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    on_line: Callable[[str], None] | None = None,
    merged: bool = False,
    stdin: IO[bytes] | None = None,
    timeout: float = 0,
) -> str:
    """Run `argv` and return its standard output.

    `env` is added to the environment; `stdin` is a file that the program reads. Standard error goes, line by line, to `log` and
    `on_line`; with `merged`, standard output does too, and "" is returned. An exception from `on_line` ends the program. After
    `timeout` seconds, it is killed together with the programs that it started; without a timeout, after LONGEST_SECONDS.
    Raises SetupError if the program cannot be run, ProgramError if its exit code is not 0.
    """
    interruption.check()
    argv = [str(word) for word in argv]
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    late: list[str] = []
    with (
        tempfile.TemporaryFile("w+", errors="replace") as output,
        log.open("a", buffering=1, encoding="utf-8") if log else nullcontext() as sink,
    ):
        process = start(
            argv,
            env,
            cwd=cwd,
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE if merged else output,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            # its own process group: Ctrl-C must not reach it during a clean-up, and a timeout must kill the whole group
            process_group=0 if interruption.is_cleaning() or timeout else None,
        )
        seconds = timeout or LONGEST_SECONDS
        killing = threading.Timer(seconds, _kill, [process, late, f"it had not ended after {seconds:.0f} s"])
        killing.daemon = True
        interruption.programs.add(process)
        with process, waiting_for(f"Running {line([Path(argv[0]).name, *argv[1:]])[:SHOWN_CHARACTERS]}"):
            try:
                killing.start()
                for text in process.stdout or process.stderr or ():
                    tail.append(text)
                    if sink:
                        sink.write(text)
                    if on_line:
                        on_line(text.rstrip())
            except BaseException:
                interruption.terminate(process)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
                _kill(process, late, "")
                raise
            finally:
                process.wait()
                killing.cancel()
                interruption.programs.discard(process)
        output.seek(0)
        if process.returncode != 0:
            text = "\n".join(filter(None, (part.strip("\n") for part in (output.read(), "".join(tail), *late))))
            raise ProgramError(argv, process.returncode, text, str(log or ""))
        return output.read()


def _kill(process: "subprocess.Popen[str]", notes: list[str], why: str) -> None:
    """Append `why` to `notes`, then kill a program that is still running or, if it has its own process group, the whole group."""
    with suppress(ProcessLookupError, PermissionError):  # it has just ended; macOS raises the second
        alone = os.getpgid(process.pid) != process.pid
        notes.append(why)
        process.kill() if alone else os.killpg(process.pid, signal.SIGKILL)
