"""The application's images on the nodes, seen and removed by digest: containerd keeps several names for one image."""

from collections.abc import Sequence
from dataclasses import dataclass

PREFIX = "docker.io/library/"  # what containerd writes before a name without a registry


@dataclass(frozen=True)
class Reference:
    """One of containerd's names for an image, and the digest of that image."""

    name: str
    digest: str

    @property
    def short(self) -> str:
        return self.name.removeprefix(PREFIX)


def parse(listing: str) -> list[Reference]:
    """Read what `ctr images ls` prints: a heading, then REF TYPE DIGEST ... in each line."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return [Reference(row[0], row[2]) for row in rows if len(row) > 2]


def of_application(references: Sequence[Reference], app: str) -> list[Reference]:
    """The names that the application gave its images: APP:TAG."""
    return [one for one in references if one.short.startswith(f"{app}:")]


def unused(references: Sequence[Reference], app: str, used: set[str]) -> list[Reference]:
    """Every name of each image of the application that no name in `used` (APP:TAG) refers to.

    That includes the name `sha256:...` under which containerd's CRI plugin keeps an image even without any other name.
    """
    own = of_application(references, app)
    kept = {one.digest for one in own if one.short in used}
    gone = {one.digest for one in own} - kept
    return [one for one in references if one.digest in gone]
