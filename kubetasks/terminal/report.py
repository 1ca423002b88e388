"""Everything shown to the user: progress on standard error, results on standard output."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from kubetasks.errors import SettingError
from kubetasks.project.words import INV

if TYPE_CHECKING:
    from rich.progress import Progress

BROKEN_PIPE = 128 + 13  # what a shell reports for a program that SIGPIPE has killed
QUIET_SECONDS = 20.0  # without a terminal, a long step prints a line this often
SILENT_SECONDS = 2.0  # after which a wait is reported


steps: "set[Step]" = set()  # all steps in progress in this process


def duration(seconds: float) -> str:
    """Format seconds: 0.4 s, 12 s, 3 min 5 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def discard(stream: TextIO) -> None:
    """Discard what is still in the stream's buffer, or Python would fail again at exit when it flushes the stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def end_unread(stream: TextIO) -> NoReturn:
    """Exit as if by SIGPIPE: the reader of the stream, such as `head`, has closed it."""
    discard(stream)
    sys.exit(BROKEN_PIPE)


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Print `what` once the block has taken SILENT_SECONDS, unless a step is in progress: its own line shows that."""

    def tell() -> None:
        if not steps:
            print(f"{what} ...", file=sys.stderr, flush=True)

    timer = threading.Timer(SILENT_SECONDS, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Step:
    """A step in progress. Without a terminal it prints a line every QUIET_SECONDS."""

    def __init__(self, report: "Report", text: str) -> None:
        self._report = report
        self._text = text
        self._started = time.monotonic()
        self._where = ""
        self._closed = threading.Event()
        self._bar = report.live.add_task(text, total=None, detail="") if report.live else None
        if self._bar is None:
            threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while not self._closed.wait(QUIET_SECONDS):
            self._report.say(f"  {self._text}: {self._where or 'in progress'} ({self._elapsed()})")

    def _elapsed(self) -> str:
        return duration(time.monotonic() - self._started)

    def at(self, detail: str, done: int | None = None, total: int | None = None) -> None:
        """Show what the step is doing now; with `done` and `total`, a terminal shows a bar."""
        self._where = f"{done} of {total} {detail}".strip() if total else detail
        if self._report.live and self._bar is not None:
            self._report.live.update(self._bar, detail=detail, completed=done, total=total)

    def close(self, ending: str) -> None:
        steps.discard(self)
        self._closed.set()
        if self._report.live and self._bar is not None:
            self._report.live.remove_task(self._bar)
        self._report.stages.append((self._text, time.monotonic() - self._started))
        self._report.say(f"{self._text}: {ending} ({self._elapsed()})")


class Report:
    """The output of the tasks of one invocation.

    With `json`, standard output carries one JSON document and nothing else. With `piped`, it is for another program, and gets
    commands only if the tasks have no `results`, as under --dry. `stages` are the steps that have ended, with their seconds.
    While it is `quiet`, `say` prints nothing.
    """

    def __init__(self, *, results: bool = True) -> None:
        self.quiet = False
        self.live: Progress | None = None
        self._lock = threading.Lock()
        self._results = results
        self.begin(json=False, piped=False)

    def begin(self, *, json: bool, piped: bool) -> None:
        """Start the output of the next task."""
        self._json = json
        self._piped = piped
        self.stages: list[tuple[str, float]] = []

    def say(self, text: str) -> None:
        """Print a line of progress."""
        if not self.quiet:
            self.tell(text)

    def tell(self, text: str) -> None:
        """Print a line of progress, even if the report is quiet."""
        with self._lock:
            if self.live:
                self.live.console.print(text, markup=False, highlight=False)
            else:
                print(text, file=sys.stderr, flush=True)

    def result(self, text: str) -> None:
        """Print a line of the task's result unchanged: it may be a path or a line of a log."""
        self._print(text, sys.stdout)

    def document(self, document: dict[str, Any]) -> None:
        """Print the JSON document of a task called with --json.

        Its `stages` are the steps with their seconds, in the order in which they ended; a step may contain others.
        """
        stages = [{"stage": text, "seconds": round(seconds, 3)} for text, seconds in self.stages]
        self._print(json.dumps({**document, "stages": stages}, indent=2), sys.stdout)

    def outcome(self, document: dict[str, Any]) -> None:
        """With --json, print the document that says what a task has done, except under --dry."""
        if self._json and self._results:
            self.document(document)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table: the rows under the column headings."""
        from rich.console import Console
        from rich.table import Table

        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        console = Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False)
        with console.capture() as capture:
            console.print(table)
        self._print("\n".join(line.rstrip() for line in capture.get().splitlines()), sys.stdout)

    def _print(self, text: str, to: TextIO) -> None:
        try:
            with self._lock:
                if self.live and to.isatty():  # above the step's live line
                    self.live.console.print(text, markup=False, highlight=False, soft_wrap=True)
                else:
                    print(text, file=to, flush=True)
        except BrokenPipeError:
            end_unread(to)

    def agrees(self, question: str) -> bool:
        """Ask the user on the terminal, and return whether the answer is yes. Raises SettingError without a terminal."""
        if not sys.stdin.isatty():
            raise SettingError(f"{question} stdin is not a terminal; pass --yes.", f"{INV} --yes ...")
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def command(self, text: str) -> None:
        """Print an equivalent command."""
        self._print(text, sys.stderr if self._json or (self._piped and self._results) else sys.stdout)

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """Show the block as a step: a live line on a terminal, and a line at its end."""
        with self._live():
            step = Step(self, text)
            steps.add(step)
            try:
                yield step
            except KeyboardInterrupt:
                step.close("interrupted")
                raise
            except BaseException:
                step.close("failed")
                raise
            step.close("done")

    @contextmanager
    def _live(self) -> Iterator[None]:
        if self.live or not sys.stderr.isatty():
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.live = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=False,  # stdout may be a pipe
        )
        try:
            with self.live:
                yield
        finally:
            self.live = None
