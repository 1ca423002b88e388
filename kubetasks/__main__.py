"""`python -m kubetasks`: invoke, with grouped tasks, a suggestion for a mistyped word, and the exit codes of a shell."""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # is not ignored
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until a task starts: the imports take a quarter of a second

import difflib
import errno
import gc
import io
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from invoke.collection import Collection
from invoke.config import AmbiguousMergeError, Config
from invoke.exceptions import CollectionNotFound, Exit, ParseError
from invoke.parser.argument import Argument
from invoke.program import Program

from kubetasks.errors import FileError, SettingError
from kubetasks.project import files
from kubetasks.terminal import interruption
from kubetasks.terminal.report import discard, end_unread

BAD_SETTING = 2
SCRIPT = "kubetasks"  # what the wheel installs; ./inv runs this module instead
GC_THRESHOLD = 100_000  # objects: imports create fewer, none of them garbage; collecting takes a twentieth of a short run
FULL = (errno.ENOSPC, errno.EDQUOT)
REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS)
CORE_HELP: dict[str, str | None] = {  # what invoke's own options mean here
    "echo": "Print the equivalent docker, kind, minikube and kubectl commands.",
    "dry": "Print the equivalent commands, and change nothing.",
}
GROUPS = {  # each in the order of the tutorial's table in README.md
    "This machine": ("setup", "doctor"),
    "Cluster": ("start", "docker-env", "stop", "delete", "kubeconfig"),
    "Application": ("build", "deploy", "status", "scale", "logs", "diagnose", "rollback", "undeploy", "rmi"),
    "Service": ("expose", "service", "tunnel", "traffic", "unexpose"),
    "All of it": ("up", "dev", "clean"),
    "This project": ("init", "test", "docs"),
}


class Configuration(Config):
    """invoke's configuration, whose files must hold sections or be empty."""

    def _load_yaml(self, path: os.PathLike[str]) -> Any:
        return _sections(files.yaml, Path(path))

    _load_yml = _load_yaml

    def _load_json(self, path: os.PathLike[str]) -> Any:
        return _sections(files.data, Path(path))


def _sections(read: Callable[[Path], Any], path: Path) -> Any:
    """Read a configuration file; return None if it is empty. Raises SettingError, and FileNotFoundError, which invoke handles."""
    path.stat()
    content = read(path)
    if content is None or (isinstance(content, dict) and all(isinstance(key, str) for key in content)):
        return content
    raise SettingError(f"{path} must hold sections, such as `cluster:`.", files.FIX)


class Tasks(Program):
    """invoke's program, for the tasks of the nearest tasks.py or table."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        try:
            super().run(argv, exit)
        except AmbiguousMergeError as error:
            print(f"invoke.yaml has a value where a section is expected, or the other way round: {error}", file=sys.stderr)
            sys.exit(BAD_SETTING)
        except OSError as error:
            _exit_refused(error)

    def core_args(self) -> list[Argument]:
        given: list[Argument] = super().core_args()
        for argument in given:
            argument.help = CORE_HELP.get(str(argument.name), argument.help)
        agreed = Argument(names=("yes", "y"), kind=bool, default=False, help="Change an existing cluster without asking.")
        return [*given, agreed]

    def update_config(self, merge: bool = True) -> None:
        super().update_config(merge=merge)
        if self.args.yes.value:
            self.config.run.yes = True

    def load_collection(self) -> None:
        if self.name == SCRIPT:
            self._load_nearest()
            return
        try:
            super().load_collection()
        except Exit as error:
            if isinstance(error.__context__, CollectionNotFound):
                raise Exit(f"There is no tasks.py in {Path.cwd()} or above it.", code=BAD_SETTING) from error
            raise

    def _load_nearest(self) -> None:
        """Load the nearest tasks.py that names kubetasks, or the nearest table, in this folder or above it; add the task init."""
        from kubetasks.project import table
        from kubetasks.project.application import Project
        from kubetasks.tasks import namespace
        from kubetasks.tasks.init import init

        folder, words = table.nearest(Path.cwd()), self.core.unparsed
        if folder is None and words and "init" not in words:
            where = f"No application is described in {Path.cwd()} or above it, in pyproject.toml, invoke.yaml or tasks.py."
            raise Exit(f"{where}\n  kubetasks init describes one, from its Dockerfile", code=BAD_SETTING)
        if folder is None or "init" in words:
            self.collection = Collection()
        elif table.has_tasks(folder):
            self.args["search-root"].value = str(folder)
            super().load_collection()
        else:
            self.config.set_project_location(folder)
            self.config.load_project()
            self.collection = namespace(Project.read(folder))
        if init.name not in self.collection.task_names:
            self.collection.add_task(init)

    def parse_tasks(self) -> None:
        try:
            super().parse_tasks()
        except ParseError as error:
            raise self._explained(error) from error

    def _explained(self, error: ParseError) -> Exception:
        """Return an error that explains a mistyped word or a missing value; return any other error unchanged."""
        task, options = (error.context.name, list(error.context.flags)) if error.context else ("", [])
        shown = f"{self.binary} --help {task or 'TASK'} shows the options of {task or 'a task'}"
        valueless = re.search(r"<Argument: ([\w-]+).* needed value", str(error))
        if valueless:
            return Exit(f"The option --{valueless[1]} needs a value.\n  {shown}", code=1)
        unknown = re.search(r"No idea what '(.*)' is", str(error))
        if not unknown:
            return error
        word = unknown[1]
        kind, known = ("option", options) if word.startswith("-") else ("task", self.collection.task_names)
        near = difflib.get_close_matches(word, known, 1)
        hint = f"Did you mean {near[0]}?" if near else f"{shown}, {self.binary} --list the tasks"
        if kind == "option" and not task and word[2:] in self._task_options():
            hint = f"It comes after a task: {self.binary} TASK {word}"
        return Exit(f"There is no {kind} {word}.\n  {hint}", code=1)

    def _task_options(self) -> set[str]:
        tasks = [self.collection[name] for name in self.collection.task_names]
        return {name for task in tasks for argument in task.get_arguments() for name in argument.names}

    def print_version(self) -> None:
        file = Path(__file__).resolve().parents[1] / "pyproject.toml"
        if file.exists():  # a clone
            print(f"{self.name} {tomllib.loads(file.read_text())['project']['version']}")
            return
        from importlib import metadata

        print(f"{self.name} {metadata.version('kubetasks')}")

    def no_tasks_given(self) -> None:
        self.list_tasks()
        raise Exit

    def list_flat(self) -> None:
        """Print the tasks by GROUPS, others last."""
        pairs = dict(self._make_pairs(self.scoped_collection))
        groups = {title: [name for name in names if name in pairs] for title, names in GROUPS.items()}
        grouped = {name for names in groups.values() for name in names}
        groups["Others"] = [name for name in pairs if name not in grouped]
        width = max(map(len, pairs))
        for title, names in groups.items():
            if names:
                print(f"{title}:")
                for name in names:
                    print(f"  {name:<{width}}  {pairs[name]}")
                print()

    def execute(self) -> None:
        self.config.tasks.dedupe = False  # `stop start stop` is three tasks
        handle_signals()
        try:
            super().execute()
        except KeyboardInterrupt:
            raise Exit(interruption.ENDED, code=interruption.EXIT_CODE) from None


def _exit_refused(error: OSError) -> NoReturn:
    """Exit with a hint for a full disk, or for a file to which this user has no access. Raise any other error again."""
    if error.errno in FULL:
        refused = FileError(f"{error.filename or 'A file'}: {error.strerror}.", "df -h shows where there is room")
    elif error.errno in REFUSALS and error.filename:
        whose = f"ls -ld {shlex.quote(str(error.filename))} shows whose it is; mount shows what is read-only"
        refused = FileError(f"{error.filename}: {error.strerror}.", whose)
    else:
        raise error
    print(refused.message, file=sys.stderr)
    with suppress(OSError):  # it is not a real file
        discard(sys.stdout)
    sys.exit(refused.code)


def handle_signals() -> None:
    """Make SIGTERM and SIGHUP end a task as Ctrl-C does; a signal that is ignored, as SIGHUP under nohup, stays ignored."""
    for number in interruption.SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, interruption.on_signal)


def main() -> None:
    gc.set_threshold(GC_THRESHOLD)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # do not fail on a terminal without Unicode
    try:
        try:
            installed = Path(sys.argv[0]).name == SCRIPT
            name, binary = (SCRIPT, SCRIPT) if installed else ("inv", "./inv")
            Tasks(name=name, binary=binary, binary_names=[name], config_class=Configuration).run()
        finally:  # run() exits
            sys.stdout.flush()
    except BrokenPipeError:
        end_unread(sys.stdout)
    except OSError as error:  # flushing the buffer failed, for example on a full disk
        _exit_refused(error)


if __name__ == "__main__":
    main()
