"""The application's images on a node, found and removed by digest, and what a node's own image says of it.

containerd keeps several names for one image. Beside APP:TAG these are `sha256:...`, by which the CRI plugin keeps an image
that has no other name, and `import-DATE@sha256:...`, the index of the archive that `kind load` imported.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kubetasks.image import familiar

ARCHIVE = "import-"


@dataclass(frozen=True)
class Reference:
    """One of containerd's names for an image or an index, and its digest."""

    name: str
    digest: str

    @property
    def short(self) -> str:
        return familiar(self.name)


def kubernetes(node_image: str) -> str:
    """The Kubernetes minor in a node image's tag, as in kindest/node:v1.36.4; "" if there is none."""
    found = re.search(r":v(\d+\.\d+)\.", node_image)
    return found[1] if found else ""


def parse(listing: str) -> list[Reference]:
    """Read what `ctr images ls` prints: a heading, then REF TYPE DIGEST ... in each line."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return [Reference(row[0], row[2]) for row in rows if len(row) > 2]


def of_application(references: Iterable[Reference], app: str) -> list[Reference]:
    """The names that the application gave its images: APP:TAG."""
    return [one for one in references if one.short.startswith(f"{app}:")]


def unused(references: Sequence[Reference], app: str, used: set[str], content: Callable[[str], str]) -> list[Reference]:
    """Every name of the application's images, except of those that a name in `used` (APP:TAG) refers to.

    `content` returns the text behind a digest; it is asked for the indexes of archives only.
    """
    own = of_application(references, app)
    gone = {one.digest for one in own} - {one.digest for one in own if one.short in used}
    if not gone:
        return []
    archives = [one for one in references if one.name.startswith(ARCHIVE)]
    pinning = {one for one in archives if _manifests(content(one.digest)) <= gone}
    return [one for one in references if one.digest in gone or one in pinning]


def _manifests(index: str) -> set[str]:
    return {manifest["digest"] for manifest in json.loads(index)["manifests"]}
