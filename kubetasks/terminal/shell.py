"""Run programs that have no SDK: argument lists in, output out, never a shell string."""

import os
import shlex
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from kubetasks.errors import ProgramError, SetupError
from kubetasks.terminal import interruption

TAIL_LINES = 40
GRACE_SECONDS = 5.0  # in which a program that was told to end does so


def line(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """The command as a person types it."""
    return " ".join([*(f"{key}={shlex.quote(value)}" for key, value in (env or {}).items()), shlex.join(argv)])


def show(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> int:
    """Run `argv` with our standard streams, and return its exit code.

    After an interruption, wait for it. A terminal sends Ctrl-C to it too; SIGTERM and SIGHUP are passed on as SIGINT.
    """
    told: list[int] = []
    started: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: object) -> None:
        told.append(number)
        for process in started:
            process.send_signal(signal.SIGINT)

    heard = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]  # see nohup
    before = {number: signal.signal(number, pass_on) for number in heard}
    try:
        with subprocess.Popen(argv, env={**os.environ, **(env or {})}) as process:
            started.append(process)
            if told:  # while it was starting
                process.send_signal(signal.SIGINT)
            try:
                process.wait()
            except KeyboardInterrupt:
                with interruption.undisturbed():  # its clean-up may take long
                    for number in heard:
                        signal.signal(number, pass_on)
                    process.wait()
                raise
    finally:
        interruption.put_back(before)
    if told:
        raise KeyboardInterrupt
    return process.returncode


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
            process_group=0 if interruption.cleaning_up() or timeout else None,
        )
    except OSError as error:
        raise SetupError(f"The program {argv[0]} cannot be run: {error.strerror}.", "./inv setup") from error
    errors: deque[str] = deque(maxlen=TAIL_LINES)
    output: list[str] = []
    unwritten: list[OSError] = []
    late: list[str] = []

    def end_late() -> None:
        late.append(f"It was terminated: it had not ended after {timeout:.0f} s.\n")
        interruption.terminate(process)
        killer.start()

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def read_lines() -> None:
        lines = process.stdout if merged else process.stderr
        assert lines is not None
        sink = log.open("a", buffering=1, encoding="utf-8") if log else None
        try:
            for text in lines:
                errors.append(text)
                if sink and not unwritten:
                    try:
                        sink.write(text)
                    except OSError as error:  # the disk is full: go on reading, or the program would wait for us
                        unwritten.append(error)
                if on_line:
                    on_line(text.rstrip())
        finally:
            if sink:
                with suppress(OSError):
                    sink.close()

    def read_output() -> None:
        assert process.stdout is not None
        output.append(process.stdout.read())

    readers = [threading.Thread(target=target) for target in ((read_lines,) if merged else (read_lines, read_output))]
    timer, killer = threading.Timer(timeout, end_late), threading.Timer(GRACE_SECONDS, kill)
    interruption.programs.add(process)
    with process:  # closes its pipes
        try:
            for reader in readers:
                reader.start()
            if timeout:
                timer.start()
            while stop and process.poll() is None:
                if stop.wait(0.2):
                    interruption.terminate(process)
                    break
            process.wait()
        except BaseException:
            interruption.terminate(process)
            raise
        finally:
            process.wait()
            interruption.programs.discard(process)
            for reader in readers:
                if reader.ident is not None:  # it was started
                    reader.join()  # what the program has started may still hold its pipes
            timer.cancel()
            killer.cancel()
    if process.returncode != 0 or late:
        raise ProgramError(argv, process.returncode, "".join([*errors, *late]) or "".join(output), str(log or ""))
    if unwritten:
        raise unwritten[0]
    return "".join(output)
