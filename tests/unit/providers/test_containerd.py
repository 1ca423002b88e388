"""Which of containerd's image names on a node are the application's, from recorded output of `ctr images ls`.

One line has no digest, and one has an image whose name only starts like the application's.
"""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks.providers import containerd
from tasks import PROJECT
from tests.unit.configured import door

LISTING = """\
REF TYPE DIGEST SIZE PLATFORMS LABELS
docker.io/library/simple-server:aaa application/vnd.docker.distribution.manifest.v2+json sha256:new 66 MiB linux/amd64 -
docker.io/library/simple-server:v1 application/vnd.docker.distribution.manifest.v2+json sha256:new 66 MiB linux/amd64 -
docker.io/library/simple-server:bbb application/vnd.docker.distribution.manifest.v2+json sha256:old 66 MiB linux/amd64 -
docker.io/library/simple-server:ccc application/vnd.docker.distribution.manifest.v2+json
docker.io/library/simple-server-two:v1 application/vnd.docker.distribution.manifest.v2+json sha256:two 66 MiB linux/amd64 -
docker.io/library/theirs:v1 application/vnd.docker.distribution.manifest.v2+json sha256:theirs 66 MiB linux/amd64 -
import-2026-11-24@sha256:i1 application/vnd.oci.image.index.v1+json sha256:i1 66 MiB linux/amd64 -
import-2026-11-25@sha256:i2 application/vnd.oci.image.index.v1+json sha256:i2 66 MiB linux/amd64 -
import-2026-11-25@sha256:i3 application/vnd.oci.image.index.v1+json sha256:i3 66 MiB linux/amd64 -
sha256:c1 application/vnd.docker.distribution.manifest.v2+json sha256:old 66 MiB linux/amd64 -
sha256:c2 application/vnd.docker.distribution.manifest.v2+json sha256:new 66 MiB linux/amd64 -
sha256:c3 application/vnd.docker.distribution.manifest.v2+json sha256:theirs 66 MiB linux/amd64 -
"""
INDEXES = {"sha256:i1": ["sha256:old"], "sha256:i2": ["sha256:new"], "sha256:i3": ["sha256:theirs", "sha256:new"]}
LIBRARY = "docker.io/library/simple-server"
OLD = {f"{LIBRARY}:bbb", "sha256:c1", "import-2026-11-24@sha256:i1"}
NEW = {f"{LIBRARY}:aaa", f"{LIBRARY}:v1", "sha256:c2", "import-2026-11-25@sha256:i2"}


def content(digest: str) -> str:
    return json.dumps({"manifests": [{"digest": one} for one in INDEXES[digest]]})


class FakeEngine:
    """An engine whose node lists the images in LISTING; `ran` records all other commands."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []

    def run_in(self, _node: object, *argv: str) -> str:
        if argv[2:4] == ("images", "ls"):
            return LISTING if len(argv) == 4 or argv[4] == 'name~="^(docker.io/(library/)?)?simple-server:"' else ""
        if argv[2:4] == ("content", "get"):
            return content(argv[4])
        self.ran.append(argv)
        return ""


NODE: Any = SimpleNamespace(name="node")


@pytest.mark.parametrize(("tags", "has"), [("aaa v1", True), ("bbb", True), ("bbb v1", False), ("ccc", False)])
def test_a_node_has_an_image_only_under_all_its_names(tags: str, has: bool) -> None:
    engine: Any = FakeEngine()
    assert containerd.has(engine, NODE, [f"simple-server:{tag}" for tag in tags.split()]) == has


@pytest.mark.parametrize(
    ("used", "names", "tags"),
    [
        ([], OLD | NEW, {"aaa", "bbb", "v1"}),
        (["simple-server:v1"], OLD, {"bbb"}),
        (["simple-server:aaa", "simple-server:bbb"], None, set()),
    ],
)
def test_an_image_that_is_not_used_goes_under_all_its_names_also_those_that_only_pin_its_content(
    capsys: pytest.CaptureFixture[str], used: list[str], names: set[str] | None, tags: set[str]
) -> None:
    engine: Any = FakeEngine()
    for dry in (True, False):
        gone = containerd.remove_unused(engine, door(dry=dry), NODE, [PROJECT.application.name], lambda: {*used})
        assert gone == {f"simple-server:{tag}" for tag in tags}
    removals = [(" ".join(argv[:5]), {*argv[5:]}) for argv in engine.ran]
    assert removals == ([("ctr --namespace=k8s.io images rm --sync", names)] if names else []), "only once: not under --dry"
    assert capsys.readouterr().out == "".join(f"docker exec node {' '.join(argv)}\n" for argv in engine.ran)


def test_on_a_node_without_the_application_nobody_asks_what_is_used() -> None:
    engine: Any = FakeEngine()
    assert containerd.remove_unused(engine, door(), NODE, ["other"], lambda: pytest.fail("somebody asks")) == set()
