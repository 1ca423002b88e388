"""The application's image, named by its content: a changed source always rolls out, and an unchanged one never does."""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from kubetasks.engine import buildkit
from kubetasks.engine.client import BuildKitNeededError, Engine, LayerGoneError
from kubetasks.engine.content import name_in, read_context, read_file, rewind
from kubetasks.errors import ImageError, LeftoverError, SetupError
from kubetasks.project import dockerfile
from kubetasks.project.application import Application, Source
from kubetasks.project.labels import TOOL
from kubetasks.project.versions import PYTHON_IMAGE
from kubetasks.project.words import DOCS, INV

PIECE = 1 << 20  # bytes read at a time
BUILDS = 3  # attempts, if other runs remove cached layers meanwhile
BUILT = re.compile(r"([^/:@]+):[0-9a-f]{12}")  # the name that a build gives an image


@dataclass(frozen=True)
class Image:
    """`build` is the build id: 12 hex digits of a hash of Dockerfile, context, base, target and arguments.

    `base` is the image used in place of the pinned base, or "" if the Dockerfile does not use that. `arguments` are the build
    arguments: the source's and, if the Dockerfile declares them, BUILD_ID and each argument whose default is the pinned base.
    `content` is the archive that the build id was computed from, and that is built: the source may change meanwhile.
    """

    source: Source
    build: str
    base: str
    arguments: Mapping[str, str] = field(default_factory=dict, compare=False)
    content: IO[bytes] | None = field(default=None, compare=False, repr=False)

    @property
    def reference(self) -> str:
        """The image reference whose tag is the build id."""
        return f"{self.source.name}:{self.build}"

    @property
    def names(self) -> list[str]:
        """The reference with the build id, and the tutorial's name, which the newest build has."""
        return [self.reference, self.source.tag]

    def document(self) -> dict[str, str]:
        """Return the image as a task's JSON shows it."""
        return {"image": self.reference, "build": self.build}


@dataclass(frozen=True)
class Delivered:
    """An image as the pods of a cluster name it; `pulled`: whether the nodes pull it from a registry."""

    reference: str
    pulled: bool

    @property
    def pull_policy(self) -> str:
        """The pull policy for the pod template: Never if no registry has the image, as a pull could only fail."""
        return "IfNotPresent" if self.pulled else "Never"


def familiar(reference: str) -> str:
    """Return the reference as `docker images` shows it: without Docker Hub's prefix, and with `:latest` if it has no tag."""
    name = reference.removeprefix("docker.io/").removeprefix("library/")
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


def full(reference: str) -> str:
    """Return the reference as containerd has it: with its registry."""
    first, slash, _ = reference.partition("/")
    host = slash and (first == "localhost" or "." in first or ":" in first)
    return reference if host else f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"


def build_id(content: IO[bytes], *chosen: str) -> str:
    """Return 12 hex digits of the SHA-256 of `chosen` (the base's name, the target, the arguments) and the content."""
    total = hashlib.sha256("\0".join(chosen).encode())
    while piece := content.read(PIECE):
        total.update(piece)
    return total.hexdigest()[:12]


def current(source: Source, base: str) -> Image:
    """Return the current source's image, built or not; `base` replaces the pinned base. Raises ImageError, SettingError."""
    context, file = source.context, source.dockerfile
    if not context.is_dir():
        raise ImageError(f"The build context is not a folder: {context}.", "Set `context` to a folder")
    if not file.is_file():
        raise ImageError(
            f"There is no {file.name} in {file.parent}.",
            f"Write one, or name another as `dockerfile`: {DOCS}/application.md",
        )
    try:
        content = read_context(context, file)
    except OSError as error:
        raise ImageError(f"A file of the image cannot be read: {error}", "Restore it, or make it readable") from error
    declared = _arguments(read_file(content, name_in(context, file)))
    given = {name: base for name, default in declared.items() if default == PYTHON_IMAGE}
    base = base if given else ""
    chosen = [source.target, *(f"{name}={value}" for name, value in sorted(source.args.items()))]
    build = build_id(rewind(content), base, *(chosen if any(chosen) else ()))
    ours = {**given, **({"BUILD_ID": build} if "BUILD_ID" in declared else {})}
    return Image(source, build, base, {**ours, **source.args}, rewind(content))


def asks_for_base(app: Application) -> bool:
    """Return whether one of the application's Dockerfiles has the pinned base as the default of a build argument."""
    files = [source.dockerfile for source in app.sources if source.dockerfile.is_file()]
    return any(PYTHON_IMAGE in _arguments(file.read_bytes()).values() for file in files)


def _arguments(content: bytes) -> dict[str, str]:
    """Return the build arguments that a Dockerfile declares, each with its first default, or ""."""
    instructions = dockerfile.instructions(dockerfile.decode(content))
    return dockerfile.declared([instruction for instruction in instructions if instruction.keyword == "ARG"])


def our_names(engine: Engine, image: Image) -> list[str]:
    """Return the reference, and the tutorial's name unless an image without the owner's label has it in the engine."""
    reference, *others = image.names
    ours = engine.image_tags(image.source.name)
    return [reference, *(name for name in others if name in ours or not engine.image_id(name))]


def names_to_load(engine: Engine, image: Image) -> list[str]:
    """Return the names to load the image under: `our_names`, without the tutorial's name if another build has it."""
    names, build = our_names(engine, image), engine.image_id(image.reference)
    return [name for name in names if build is None or engine.image_id(name) == build]


def build(engine: Engine, image: Image, names: list[str], on_line: Callable[[str], None]) -> None:
    """Build the image under `names`, or only tag it with them if the engine already has it. Raises ImageError."""
    if engine.image_id(image.reference) is None:
        try:
            _build(engine, image, names, on_line)
        except ImageError as error:
            if not image.base or engine.image_id(image.base):
                raise
            raise ImageError(f"The base image {image.base} is missing. {error.sentence}", f"{INV} setup") from error
        return
    for name in names[1:]:
        if engine.image_id(name) != engine.image_id(image.reference):
            engine.tag(image.reference, name)


def _build(engine: Engine, image: Image, names: list[str], on_line: Callable[[str], None]) -> None:
    """Build the image as docker does: with BuildKit if the engine or Dockerfile asks for it, else with the classic builder."""
    assert image.content
    refused, file, content = "", name_in(image.source.context, image.source.dockerfile), image.content
    how = image.arguments, on_line, file, image.source.target

    def with_buildkit() -> None:
        buildkit.build(engine, rewind(content), names, *how)

    if not buildkit.required(read_file(content, file)):
        if engine.asks_for_buildkit():
            with suppress(buildkit.MissingError, SetupError):  # the classic builder needs no docker CLI
                with_buildkit()
                return
        import tenacity

        gone, stop = tenacity.retry_if_exception_type(LayerGoneError), tenacity.stop_after_attempt(BUILDS)
        try:
            tenacity.Retrying(retry=gone, stop=stop, reraise=True)(engine.build, content, names, *how)
            return
        except BuildKitNeededError as error:
            refused = f"{error.sentence.splitlines()[0]}\n"
    try:
        with_buildkit()
    except ImageError as error:
        raise ImageError(refused + error.sentence, error.hint) from error


def tags(engine: Engine, app: Application) -> list[str]:
    """Return the names of all the application's images in the engine, including images that its table no longer lists."""
    before = [] if app.owner == TOOL else [match[1] for name in engine.image_tags() if (match := BUILT.fullmatch(name))]
    return [name for one in dict.fromkeys([*(source.name for source in app.sources), *before]) for name in engine.image_tags(one)]


def unused(engine: Engine, app: Application) -> list[str]:
    """Return the names of all the application's images in the engine. Raises LeftoverError if a container uses one."""
    references = tags(engine, app)
    users = sorted({user for reference in references for user in engine.users(reference)})
    if users:
        raise LeftoverError(f"The application's image is in use by {', '.join(users)}.", f"docker rm --force {' '.join(users)}")
    return references


def remove(engine: Engine, references: Iterable[str], at: Callable[[str], None]) -> None:
    """Remove these images, and the untagged stages of builds; call `at` with each name."""
    for reference in references:
        at(reference)
        engine.remove_image(reference)
    engine.remove_dangling()
