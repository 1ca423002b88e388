"""Errors that the user can act on: one sentence, the next command to type, and an exit code for each kind."""

import signal
from collections.abc import Iterator
from pathlib import Path

from invoke.exceptions import Exit


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error and its causes, the nearest first."""
    seen: list[BaseException] = []
    while error and error not in seen:  # an error that is raised again may be among its own causes
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


class TaskError(Exit):
    """A failure that the user can act on. invoke prints it once and exits with `code`.

    `sentence` says what failed and where, `hint` the next command or setting to try.
    """

    code = 1

    def __init__(self, sentence: str, hint: str = "") -> None:
        self.sentence = sentence
        self.hint = hint
        super().__init__(message=f"{sentence}\n  {hint}" if hint else sentence, code=type(self).code)

    def __str__(self) -> str:
        return str(self.message)


class SettingError(TaskError):
    """A setting or an option is invalid; nothing was changed."""

    code = 2


class EngineError(TaskError):
    """The container engine does not answer, denies access, or failed."""

    code = 3


class ClusterError(TaskError):
    """The cluster is missing, stopped, unreachable, or could not be created."""

    code = 4


class ImageError(TaskError):
    """The application's image is missing, or its build failed."""

    code = 5


class RolloutError(TaskError):
    """The rollout failed or timed out. `screen`, if given, is the diagnosis, which starts with the sentence."""

    code = 6

    def __init__(self, sentence: str, hint: str = "", screen: str = "") -> None:
        super().__init__(sentence, hint)
        if screen:
            self.message = screen


class ExposeError(TaskError):
    """The service is missing or has no address, or requests from this machine get no answer."""

    code = 7


class OwnershipError(TaskError):
    """Something with the wanted name exists, but does not carry the owner's label."""

    code = 8


class SetupError(TaskError):
    """Something that this machine lacks could not be installed."""

    code = 9


class LeftoverError(TaskError):
    """A clean-up could not remove everything."""

    code = 10


class FileError(TaskError):
    """The operating system denies access to a file or folder of the tasks, or the disk is full."""

    code = 12


class ProgramError(TaskError):
    """A program failed: the message has its last line of output, its command line, and up to 11 lines of output before."""

    code = 11

    def __init__(self, argv: list[str], returncode: int, output: str, log: str = "") -> None:
        self.argv = argv
        self.returncode = returncode
        self.output = output
        self.log = log
        *before, last = output.strip().splitlines()[-12:] or [""]
        how = "was killed" if returncode == -signal.SIGKILL else f"ended with {returncode}"
        ended = f"{Path(argv[0]).name} {how}{f': {last.strip()}' if last else '.'}"
        where = [f"full log: {log}"] if log else []
        super().__init__("\n  ".join([ended, f"`{' '.join(argv)}`", *before, *where]))
