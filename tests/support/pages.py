"""Pages that are run: typed in order into one shell, the console blocks of a Markdown page must print what it shows.

    ```console kind exit=7
    $ ./inv deploy
    Rolling out simple-server:2c97b0462f84: done (1.5 s)

The words after `console`, which readers do not see, name the providers for which a block is run (none: all) and the exit code
of its last command. A line `...` stands for any number of lines. The commands of `console beside` are typed into a second
terminal, where they may keep running; the lines of `text beside` must appear there in this order.
"""

import difflib
import os
import re
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, STDOUT

from kubetasks.project.settings import PROVIDERS

# what differs from run to run; the order matters: a replica set's name is the start of its pods' names
PATTERNS = {
    "pod": r"\bsimple-server-[0-9a-f]{7,10}-[a-z0-9]{5}\b",
    "replica set": r"\bsimple-server-[0-9a-f]{7,10}\b",
    "node": r"\bsimple-server-(?:control-plane|worker\d*)\b",
    "build": r"\b[0-9a-f]{12}\b",
    "ip": r"\b(?!127\.)\d+\.\d+\.\d+\.\d+\b",
    "url": r"http://(?:\{ip\}|127\.0\.0\.1):\d+/",
    "node port": r"(?<=8080:)\d+(?=/TCP)",
    "seconds": r"\b(?:\d+ min )?\d+(?:\.\d+)? s\b",
    "age": r"\b(?:\d+[smh])+\b|\bLess than a second\b|\bAbout a minute\b|\b\d+ (?:second|minute)s?\b",
    "version": r"\bv1\.\d+\.\d+\b|(?<=Kubernetes )1\.\d+\b",
    "size": r"\b\d+(?:\.\d+)?MB\b",
    "delivery": r"^(?:Delivering .* through the registry of|Loading .* into) cluster simple-server(?=:)",
    "counts": r"(?<=\{pod\} )\d+ \d+(?= \{build\})",
}
ANY = "..."
BASE = re.compile(r" --build-arg BASE=\S+")  # present only if the base image cannot be pulled
BESIDE = "```text beside"
STILL = re.compile(r"  \S.*: .+ \((?:\d+ min )?\d+ s\)")  # what a long step prints every 20 s
SECONDS = 300.0
SECONDS_BESIDE = 20.0
Bash = subprocess.Popen[bytes]
END = "--- the command has ended with"


class PageError(AssertionError):
    """A page does not show what its commands print, or cannot be read."""


def steps(lines: Sequence[str], provider: str) -> Iterator[tuple[str, int, int, int | None]]:
    """Yield the commands of a page that are run for a provider: (command, index of its output, index after it, exit code).

    The code is None in the second terminal; its expected output has the command "". Raises PageError for an unreadable block.
    """
    for start, line in enumerate(lines):
        end = next((number for number in range(start + 1, len(lines)) if lines[number] == "```"), start)
        if line == BESIDE:
            yield "", start + 1, end, None
        if not line.startswith("```console"):
            continue
        head = re.fullmatch(rf"```console((?: (?:{'|'.join(PROVIDERS)}))*)( beside)?(?: exit=(\d+))?", line)
        if not head or not lines[min(start + 1, end)].startswith("$ "):
            raise PageError(f"line {start + 1}: the block has an unknown word, no command first, or no end: {line}")
        if head[1] and provider not in head[1].split():
            continue
        prompts = [number for number in range(start + 1, end) if lines[number].startswith("$ ")]
        for prompt, following in zip(prompts, [*prompts[1:], end], strict=True):
            code = int(head[3] or 0) if following == end else 0
            yield lines[prompt][2:], prompt + 1, following, None if head[2] else code


def normal(line: str) -> str:
    """Return the line with the patterns' names in place of their matches, and one space in place of several."""
    line = BASE.sub("", re.sub(r"(?<=\S) +", " ", line).rstrip())
    for name, pattern in PATTERNS.items():
        line = re.sub(pattern, f"{{{name}}}", line)
    return line


def same(shown: Sequence[str], printed: Sequence[str]) -> bool:
    """Return whether a page shows what was printed."""
    wanted = "".join(r"(?:.*\n)*?" if line == ANY else re.escape(normal(line)) + r"\n" for line in shown)
    return re.fullmatch(wanted, "".join(f"{normal(line)}\n" for line in printed)) is not None


def mended(shown: Sequence[str], printed: Sequence[str]) -> list[str]:
    """Return what a page should show: its own lines where they are right, otherwise what was printed."""
    if same(shown, printed):
        return list(shown)
    wanted, got = [*map(normal, shown)], [*map(normal, printed)]
    blocks = difflib.SequenceMatcher(None, wanted, got, autojunk=False).get_opcodes()
    return [line for tag, a, b, c, d in blocks for line in (shown[a:b] if tag == "equal" else printed[c:d])]


@contextmanager
def shell(folder: Path, env: Mapping[str, str], words: Sequence[str] = ()) -> Iterator[Bash]:
    """Run one bash for a whole page, with `words` before it; what the page left running in the background ends with it."""
    with subprocess.Popen(
        [*words, "bash"], cwd=folder, env=env, stdin=PIPE, stdout=PIPE, stderr=STDOUT, start_new_session=True
    ) as bash:
        try:
            yield bash
        finally:
            os.killpg(bash.pid, signal.SIGTERM)


def type_in(bash: Bash, command: str, seconds: float = SECONDS) -> tuple[list[str], int]:
    """Return the lines that a command prints, and its exit code. Raises PageError after `seconds`, or if the shell ends."""
    assert bash.stdin and bash.stdout  # noqa: PT018  for mypy; and no command reads what is typed after it
    bash.stdin.write(f"eval {shlex.quote(command)} </dev/null\nprintf '\\n{END} %s\\n' $?\n".encode())
    bash.stdin.flush()
    deadline, output = time.monotonic() + seconds, b""
    while not (ended := re.search(rf"\n?\n{END} (\d+)\n".encode(), output)):
        left = max(0, deadline - time.monotonic())
        more = os.read(bash.stdout.fileno(), 65536) if select.select([bash.stdout], [], [], left)[0] else b""
        if not more:
            said = output.decode(errors="replace")
            raise PageError(f"$ {command}\nhas ended the shell, or not ended after {seconds:.0f} s: {said}")
        output += more
    return [line for line in output[: ended.start()].decode().splitlines() if not STILL.fullmatch(line)], int(ended[1])


def come(bash: Bash, lines: Sequence[str], edit: Callable[[str], str]) -> None:
    """Wait until a terminal has printed these lines in this order, among others. Raises PageError after SECONDS_BESIDE."""
    assert bash.stdout
    deadline, output = time.monotonic() + SECONDS_BESIDE, b""
    shown = "\n".join(lines)
    wanted = re.compile("^" + r"(?:.*\n)*".join(re.escape(normal(line)) + r"\n" for line in lines), re.MULTILINE)
    while not wanted.search(printed := "".join(f"{normal(edit(line))}\n" for line in output.decode().splitlines())):
        left = max(0, deadline - time.monotonic())
        more = os.read(bash.stdout.fileno(), 65536) if select.select([bash.stdout], [], [], left)[0] else b""
        if not more:
            raise PageError(f"the second terminal has not printed, in this order:\n{shown}\nbut:\n{printed}")
        output += more


def run(
    page: Path,
    provider: str,
    terminals: tuple[Bash, Bash],
    stand_ins: Mapping[str, str],
    before: Callable[[str], str | None],
    update: bool,
) -> None:
    """Type a page's commands. Raises PageError for a wrong exit code and, unless `update` fixes the page, for wrong output.

    `stand_ins` maps patterns in the output to what the page has instead. A block with ANY, or of `text beside`, must be fixed
    by hand. `before` gets each command, and may return another to be typed instead.
    """
    lines = page.read_text().splitlines()
    length = len(lines)  # updating may add or remove some
    bash, beside = terminals

    def edit(line: str) -> str:
        for here, there in stand_ins.items():
            line = re.sub(here, there, line)
        return line

    for command, first, end, wanted in list(steps(lines, provider)):
        if wanted is None:
            if command:
                assert beside.stdin
                beside.stdin.write(f"{before(command) or command}\n".encode())
                beside.stdin.flush()
            else:
                come(beside, lines[first + len(lines) - length : end + len(lines) - length], edit)
            continue
        typed, code = type_in(bash, before(command) or command)
        printed = [*map(edit, typed)]
        if code != wanted:
            raise PageError(f"{page.name}: $ {command}\nended with {code}, not {wanted}:\n" + "\n".join(printed))
        place = slice(first + len(lines) - length, end + len(lines) - length)
        shown = lines[place]
        right = mended(shown, printed)
        if update and ANY not in shown:
            lines[place] = right
            page.write_text("\n".join(lines) + "\n")
        elif right != shown:
            diff = difflib.unified_diff(shown, right, "the page", "printed", lineterm="")
            raise PageError(f"{page.name}:{first}: $ {command}\n" + "\n".join(diff))
