"""The application's image: named by its content, so that a changed source always rolls out and the same never does."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kubetasks.engine import LABELS, Engine
from kubetasks.errors import ImageError, LeftoverError
from kubetasks.settings import APP, PROJECT

HUMAN_TAG = f"{APP}:v1"


@dataclass(frozen=True)
class Image:
    """`build` is the build id (12 hex digits over Dockerfile, context and base), `reference` the name that carries it."""

    build: str
    base: str

    @property
    def reference(self) -> str:
        return f"{APP}:{self.build}"

    @property
    def arguments(self) -> dict[str, str]:
        """The build arguments."""
        return {"BASE": self.base, "BUILD_ID": self.build}

    def mirror(self) -> str:
        """The docker line that makes the same image."""
        arguments = " ".join(f"--build-arg {name}={value}" for name, value in self.arguments.items())
        labels = " ".join(f"--label {name}={value}" for name, value in LABELS.items())
        return f"docker build --tag {HUMAN_TAG} --tag {self.reference} {arguments} {labels} ."


def build_id(files: Mapping[str, bytes], base: str) -> str:
    """12 hex digits of the SHA-256 over every file's name and content, and over the base's name."""
    total = hashlib.sha256(base.encode())
    for name in sorted(files):
        for part in (name.encode(), files[name]):
            total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()[:12]


def current(names: list[str], base: str, folder: Path = PROJECT) -> Image:
    """The image of the present source; `names` are the context's files. Nothing is built. Raises ImageError."""
    try:
        files = {name: (folder / name).read_bytes() for name in {"Dockerfile", *names}}
    except OSError as error:
        raise ImageError(f"A file of the image cannot be read: {error}", "Bring it back, or make it readable") from error
    return Image(build_id(files, base), base)


def build(engine: Engine, image: Image, on_line: Callable[[str], None]) -> bool:
    """Build it unless the engine has it; True where it was built. Raises ImageError."""
    fresh = engine.image_id(image.reference) is None
    if fresh:
        engine.build(PROJECT, [image.reference, HUMAN_TAG], image.arguments, on_line)
    elif engine.image_id(HUMAN_TAG) != engine.image_id(image.reference):
        engine.tag(image.reference, HUMAN_TAG)
    return fresh


def require_built(engine: Engine, image: Image) -> None:
    """Raises ImageError where the present source has not been built."""
    if engine.image_id(image.reference) is None:
        raise ImageError(f"The present source has not been built ({image.reference} is not in the engine).", "./inv build")


def remove(engine: Engine) -> list[str]:
    """Take away every image of the application; returns their names. Raises LeftoverError where a container has one."""
    references = engine.image_tags(APP)
    users = sorted({user for reference in references for user in engine.users(reference)})
    if users:
        raise LeftoverError(f"The application's image is in use by {', '.join(users)}.", f"docker rm --force {' '.join(users)}")
    for reference in references:
        engine.remove_image(reference)
    engine.remove_dangling()
    return references
