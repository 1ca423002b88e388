"""Builds with the engine's BuildKit, through docker's own program: Docker's SDK does not speak BuildKit's protocol."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import IO

from kubetasks import shell
from kubetasks.engine import Engine
from kubetasks.errors import ImageError, ProgramError, SetupError, TaskError

LINES = 15  # of the output of a build that failed


def build(
    engine: Engine, context: IO[bytes], references: Iterable[str], arguments: Mapping[str, str], on_line: Callable[[str], None]
) -> None:
    """Build an image from a tar archive with a Dockerfile, under each of the references; `on_line` gets the output.

    A TaskError that `on_line` raises ends the build. Raises ImageError with the end of the output. BuildKit keeps what it built
    in a cache, where `docker builder prune` removes it.
    """
    first, *_ = references = list(references)
    argv = ["docker", "build", "--progress=plain", *(f"--tag={name}" for name in references)]
    argv += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    ended, reasons = threading.Event(), list[TaskError]()

    def heard(line: str) -> None:
        try:
            on_line(line)
        except TaskError as error:
            reasons.append(error)
            ended.set()

    with tempfile.TemporaryFile() as archive:
        shutil.copyfileobj(context, archive)
        archive.seek(0)
        try:
            shell.run([*argv, "-"], env=engine.variables | {"DOCKER_BUILDKIT": "1"}, stdin=archive, on_line=heard, stop=ended)
        except (ProgramError, SetupError) as error:
            if reasons:
                raise reasons[0] from error
            output = error.output if isinstance(error, ProgramError) else error.sentence
            tail = "".join(f"\n  {line}" for line in output.strip().splitlines()[-LINES:])
            raise ImageError(
                f"Building {first} with BuildKit failed:{tail}",
                "Fix it and run ./inv build again; docker needs its plugin buildx for this: docker buildx version",
            ) from error
    if engine.image_id(first) is None:
        raise ImageError(f"docker's current builder kept {first} for itself.", "docker buildx use default; ./inv build")
