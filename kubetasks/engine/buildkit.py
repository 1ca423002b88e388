"""Build with the engine's BuildKit through the docker CLI: Docker's SDK does not speak BuildKit's protocol."""

from collections.abc import Callable, Iterable, Mapping
from typing import IO

from kubetasks.engine.client import COLORS, Engine, end_of
from kubetasks.errors import ImageError, ProgramError
from kubetasks.project.dockerfile import decode, instructions
from kubetasks.project.words import INV
from kubetasks.terminal import shell

# The last two are buildx's. An attestation would add a second platform to the image, which not every engine can save for a node;
# and the image must end up in the engine, whichever builder the user has selected for other builds.
VARIABLES = {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1", "BUILDX_BUILDER": ""}
MISSING = "buildx component is missing or broken"  # the docker CLI's error (since release 23) if it cannot use BuildKit


class MissingError(ImageError):
    """The docker CLI cannot use BuildKit: its plugin buildx is missing."""


def required(dockerfile: bytes) -> bool:
    """Return whether the classic builder would build something different: it runs only the first line of a here-document.

    It rejects any other instruction it does not know.
    """
    return any(instruction.heredoc for instruction in instructions(decode(dockerfile)))


def build(
    engine: Engine,
    context: IO[bytes],
    references: Iterable[str],
    arguments: Mapping[str, str],
    on_line: Callable[[str], None],
    dockerfile: str = "Dockerfile",
    target: str = "",
) -> None:
    """Build an image, or only its stage `target`, from a tar archive with that Dockerfile, and tag it with each reference.

    `on_line` gets each line of the output; an error that it raises ends the build and is passed on. BuildKit keeps the results
    in a cache, which `docker builder prune` empties. Raises ImageError with the end of the output, MissingError if buildx is
    missing, SetupError if there is no docker CLI.
    """
    import shutil
    import tempfile

    first, *_ = references = list(references)
    argv = ["docker", "build", "--progress=plain", f"--file={dockerfile}", *(f"--tag={name}" for name in references)]
    argv += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    argv += [f"--target={target}"] if target else []
    argv += [f"--label={name}={value}" for name, value in engine.owner.labels.items()]

    def heard(line: str) -> None:
        text = COLORS.sub("", line).strip()
        if text:
            on_line(text)

    with tempfile.TemporaryFile() as archive:
        try:
            shutil.copyfileobj(context, archive)
            archive.seek(0)
        except OSError as error:
            raise ImageError(f"The build context cannot be written: {error}", "df -h") from error
        try:
            shell.run([*argv, "-"], env=engine.variables | VARIABLES, stdin=archive, on_line=heard)
        except ProgramError as error:
            kind, fix = ImageError, "Fix it"
            if MISSING in error.output:
                kind, fix = MissingError, "Install docker-buildx, or docker-buildx-plugin from Docker's own packages"
            raise kind(
                f"Building {first} with BuildKit failed:{end_of([error.output])}", f"{fix}, and run {INV} build again"
            ) from error
    if engine.image_id(first) is None:
        raise ImageError(f"Built, but {first} is not in the engine.", f"docker buildx uninstall; {INV} build")
