"""Read the instructions of a Dockerfile as BuildKit does: pure functions, which raise no error for any text.

The format: https://docs.docker.com/reference/dockerfile/
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GOES_ON = re.compile(r"(?<!\\)\\[ \t]*$")  # an escape directive, meant for Windows, may choose another character
FLAGS = re.compile(r"(?:--\S+\s+)+")
HEREDOC = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([A-Za-z_]\w*)\2(?=\s|$)")
WITH_HEREDOC = ("RUN", "COPY", "ADD")
PAIR = re.compile(r"(\w+)(?:=(\"[^\"]*\"|'[^']*'|\S*))?")
VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")


@dataclass(frozen=True)
class Instruction:
    """`keyword` is in upper case, `value` what follows the flags, with lines joined. `end` is the number of the last line.

    `heredoc`: the instruction has a here-document, which ends on that line.
    """

    keyword: str
    value: str
    end: int
    heredoc: bool = False


def decode(content: bytes) -> str:
    """Decode a file as UTF-8. Encoding the text again with surrogateescape restores invalid bytes."""
    return content.decode("utf-8", "surrogateescape")


def instructions(text: str) -> list[Instruction]:
    """Return the instructions in order, without comments and empty lines, even those inside an instruction."""
    lines = [line.rstrip("\r") for line in text.removeprefix("\ufeff").split("\n")]
    while lines and not lines[-1].strip():  # the last instruction may go on into nothing
        lines.pop()
    read: list[Instruction] = []
    joined, number = "", 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        joined += GOES_ON.sub("", line)
        if GOES_ON.search(line) and number < len(lines):
            continue
        if not joined.strip():
            joined = ""
            continue
        keyword, *rest = joined.split(None, 1)
        value = f"{rest[0]} " if rest else ""
        documents = HEREDOC.findall(joined) if keyword.upper() in WITH_HEREDOC else []
        for dash, _, word in documents:
            number = _end_of_heredoc(lines, number, word, tabs=bool(dash))
        read.append(Instruction(keyword.upper(), FLAGS.sub("", value, count=1).strip(), number, bool(documents)))
        joined = ""
    return read


def _end_of_heredoc(lines: Sequence[str], begin: int, word: str, *, tabs: bool) -> int:
    """Return the number of the line that ends a here-document, or else of the last one; `tabs`: tabs may precede the word."""
    for number, line in enumerate(lines[begin:], begin + 1):
        if (line.lstrip("\t") if tabs else line) == word:
            return number
    return len(lines)


def build_stages(text: str, target: str = "") -> tuple[list[list[Instruction]], dict[str, str]]:
    """Return the stages that the image is built from, and the variables that the file gives a value.

    The first one is the target, or the last stage if there is no such target, followed by the stage it is based on, and so on.
    """
    before: list[Instruction] = []
    stages = [before]
    for instruction in instructions(text):
        if instruction.keyword == "FROM":
            stages.append([])
        stages[-1].append(instruction)
    arguments, chain = declared(before), [before]
    chains: dict[str, list[list[Instruction]]] = {}
    for stage in stages[1:]:
        words = [*substituted(stage[0].value, arguments).lower().split(), "", "", ""]
        chain = [stage, *chains.get(words[0], [])]
        chains[words[2]] = chain
    chain = chains.get(target.lower(), chain) if target else chain
    known: dict[str, str] = {}
    for instruction in (instruction for stage in reversed(chain) for instruction in stage):
        if instruction.keyword == "ARG":
            known |= {name: value or arguments.get(name, "") for name, value in declared([instruction]).items()}
        elif instruction.keyword == "ENV":
            known |= declared([instruction])
    return chain, {name: value for name, value in known.items() if value}


def declared(given: Sequence[Instruction]) -> dict[str, str]:
    """Return the variables that ARG and ENV declare, each with its first value, or ""."""
    variables: dict[str, str] = {}
    for instruction in given:
        name, _, rest = instruction.value.partition(" ")
        if instruction.keyword == "ENV" and "=" not in name:  # ENV NAME VALUE
            variables.setdefault(name, rest.strip())
        elif instruction.keyword in ("ARG", "ENV"):
            for name, value in PAIR.findall(instruction.value):
                variables.setdefault(name, value.strip("\"'"))
    return variables


def substituted(text: str, known: Mapping[str, str]) -> str:
    """Replace variables by their values or defaults; keep a variable that has neither."""
    return VARIABLE.sub(lambda found: known.get(found[1] or found[2]) or found[3] or found[0], text)
