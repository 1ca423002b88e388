"""What a person sees when something cannot be done: one sentence, the next command to type, one exit code a kind."""

from invoke.exceptions import Exit


class TaskError(Exit):
    """A failure that a person can act on. invoke prints it once and ends with `code`.

    `sentence` says what and where, `hint` the next command or setting to try.
    """

    code = 1

    def __init__(self, sentence: str, hint: str = "") -> None:
        self.sentence = sentence
        self.hint = hint
        super().__init__(message=f"{sentence}\n  {hint}" if hint else sentence, code=type(self).code)


class SettingError(TaskError):
    """A setting or an option that makes no sense; nothing was changed."""

    code = 2


class EngineError(TaskError):
    """The container engine does not answer, refuses us, or failed at what it was asked."""

    code = 3


class ClusterError(TaskError):
    """The cluster is missing, stopped, unreachable, or could not be made."""

    code = 4


class ImageError(TaskError):
    """The application's image is missing, or its build failed."""

    code = 5


class RolloutError(TaskError):
    """The pods did not become what was asked for."""

    code = 6


class ExposeError(TaskError):
    """No address answers from here, or the wanted one is taken."""

    code = 7


class OwnershipError(TaskError):
    """Something of our name exists that does not carry our label."""

    code = 8


class SetupError(TaskError):
    """Something that this machine lacks could not be brought."""

    code = 9


class LeftoverError(TaskError):
    """A clean-up ended, and something of ours is still there."""

    code = 10


class ProgramError(TaskError):
    """A program that we call failed: its command line and the end of what it said."""

    code = 11

    def __init__(self, argv: list[str], returncode: int, output: str, log: str = "") -> None:
        self.argv = argv
        self.returncode = returncode
        self.output = output
        tail = "\n  ".join(output.strip().splitlines()[-12:])
        where = f"\n  the whole log: {log}" if log else ""
        super().__init__(f"`{' '.join(argv)}` ended with {returncode}:\n  {tail}{where}")
