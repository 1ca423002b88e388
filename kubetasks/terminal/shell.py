"""Run programs that have no SDK: argument lists in, output out, never a shell string."""

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from kubetasks.errors import ProgramError, SetupError
from kubetasks.terminal import interruption

TAIL_LINES = 40
GRACE_SECONDS = 5.0  # in which a program that was told to end does so
POLL_SECONDS, SHORT_SECONDS = 0.2, 0.01  # between two looks at a program that runs, and at one that has closed its output


def line(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """The command as a person types it."""
    return " ".join([*(f"{key}={shlex.quote(value)}" for key, value in (env or {}).items()), shlex.join(argv)])


def show(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run `argv` with our standard streams, and return its exit code. After an interruption, wait for it.

    A terminal sends Ctrl-C to it too; any other signal is passed on as SIGINT.
    """
    with subprocess.Popen(argv, env={**os.environ, **(env or {})}) as process:
        interruption.programs.add(process)
        try:
            return _returned(process)
        except KeyboardInterrupt:
            with interruption.cleaning():
                if interruption.came() != signal.SIGINT or not sys.stdin.isatty():
                    process.send_signal(signal.SIGINT)
                _returned(process)
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
    stop: threading.Event | None = None,
    timeout: float = 0,
) -> str:
    """Run `argv` and return its standard output.

    `env` is added to our environment; `stdin` is a file that the program reads. Standard error goes, line by line, to `log`
    and to `on_line`; with `merged`, standard output does too, and "" is returned. If `stop` is set, because another part of the
    same job failed, the program is terminated; so it is, with the programs that it started, after `timeout` seconds, if that is
    not 0, and killed after GRACE_SECONDS more. Raises SetupError if the program cannot be run, ProgramError if it exits with
    another code than 0 or was late.
    """
    argv = [str(word) for word in argv]
    try:
        process = subprocess.Popen(
            argv,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            text=True,
            errors="replace",
            # Go programs may listen for a signal that is ignored here: in a group of their own a terminal does not send it;
            # and at the deadline the whole group ends
            process_group=0 if interruption.is_cleaning() or timeout else None,
        )
    except OSError as error:
        raise SetupError(f"The program {argv[0]} cannot be run: {error.strerror}.", "./inv setup") from error
    lines = Lines(log, on_line)
    output: list[str] = []
    readers = [threading.Thread(target=lines.read, args=(process.stdout if merged else process.stderr,), daemon=True)]
    if not merged:
        readers.append(threading.Thread(target=lambda: output.extend(process.stdout or ()), daemon=True))
    interruption.programs.add(process)
    with process:  # closes its pipes
        try:
            for reader in readers:
                reader.start()
            late = not _ends(process, readers, stop, timeout)
        except BaseException:
            interruption.terminate(process)
            raise
        finally:
            _returned(process, checked=False)
            interruption.programs.discard(process)
            for reader in readers:
                if reader.ident is not None:  # it was started
                    reader.join()  # what the program has started may still hold its pipes
    if process.returncode != 0 or late:
        told = [f"It was terminated: it had not ended after {timeout:.0f} s.\n"] if late else []
        raise ProgramError(argv, process.returncode, "".join([*lines.tail, *told]) or "".join(output), str(log or ""))
    if lines.unwritten:
        raise lines.unwritten
    return "".join(output)


class Lines:
    """What a program prints, line by line: written to `log`, given to `on_line`, and the last ones kept."""

    def __init__(self, log: Path | None, on_line: Callable[[str], None] | None) -> None:
        self._log = log
        self._on_line = on_line
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self.unwritten: OSError | None = None

    def read(self, stream: IO[str]) -> None:
        sink = self._log.open("a", buffering=1, encoding="utf-8") if self._log else None
        try:
            for text in stream:
                self.tail.append(text)
                if sink and not self.unwritten:
                    try:
                        sink.write(text)
                    except OSError as error:  # the disk is full: go on reading, or the program would wait for us
                        self.unwritten = error
                if self._on_line:
                    self._on_line(text.rstrip())
        finally:
            if sink:
                with suppress(OSError):
                    sink.close()


def _ends(
    process: "subprocess.Popen[str]", readers: Sequence[threading.Thread], stop: threading.Event | None, timeout: float
) -> bool:
    """Wait for a program; False if it had to be terminated because it was late."""
    deadline, killing = time.monotonic() + timeout, 0.0
    while any(reader.is_alive() for reader in readers) or process.poll() is None:
        interruption.check()
        now = time.monotonic()
        if stop and stop.is_set():
            interruption.terminate(process)
            return True
        if killing and now >= killing:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        elif timeout and now >= deadline and not killing:
            interruption.terminate(process)
            killing = now + GRACE_SECONDS
        readers[0].join(POLL_SECONDS) if readers[0].is_alive() else time.sleep(SHORT_SECONDS)
    return not killing


def _returned(process: "subprocess.Popen[Any]", checked: bool = True) -> int:
    """Wait for a program, and return its exit code. Not with a plain wait: an interruption can leave its lock held for ever."""
    while True:
        if checked:
            interruption.check()
        with suppress(subprocess.TimeoutExpired):
            return int(process.wait(POLL_SECONDS))
