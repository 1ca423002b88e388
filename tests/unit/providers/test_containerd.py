"""Which of containerd's names on a node are the application's, from a listing as `ctr images ls` printed it."""

import json

from kubetasks.providers import containerd

LISTING = """\
REF TYPE DIGEST SIZE PLATFORMS LABELS
docker.io/library/simple-server:aaa application/vnd.docker.distribution.manifest.v2+json sha256:new 66 MiB linux/amd64 -
docker.io/library/simple-server:v1 application/vnd.docker.distribution.manifest.v2+json sha256:new 66 MiB linux/amd64 -
docker.io/library/simple-server:bbb application/vnd.docker.distribution.manifest.v2+json sha256:old 66 MiB linux/amd64 -
docker.io/library/theirs:v1 application/vnd.docker.distribution.manifest.v2+json sha256:theirs 66 MiB linux/amd64 -
import-2026-11-24@sha256:i1 application/vnd.oci.image.index.v1+json sha256:i1 66 MiB linux/amd64 -
import-2026-11-25@sha256:i2 application/vnd.oci.image.index.v1+json sha256:i2 66 MiB linux/amd64 -
import-2026-11-25@sha256:i3 application/vnd.oci.image.index.v1+json sha256:i3 66 MiB linux/amd64 -
sha256:c1 application/vnd.docker.distribution.manifest.v2+json sha256:old 66 MiB linux/amd64 -
sha256:c2 application/vnd.docker.distribution.manifest.v2+json sha256:new 66 MiB linux/amd64 -
sha256:c3 application/vnd.docker.distribution.manifest.v2+json sha256:theirs 66 MiB linux/amd64 -
"""
INDEXES = {"sha256:i1": ["sha256:old"], "sha256:i2": ["sha256:new"], "sha256:i3": ["sha256:theirs", "sha256:new"]}


def content(digest: str) -> str:
    return json.dumps({"manifests": [{"digest": one} for one in INDEXES[digest]]})


def unused(*used: str) -> set[str]:
    return {one.short for one in containerd.unused(containerd.parse(LISTING), "simple-server", set(used), content)}


def test_every_name_of_an_image_goes_also_those_that_only_pin_its_content() -> None:
    everything = {"simple-server:aaa", "simple-server:v1", "simple-server:bbb", "sha256:c1", "sha256:c2"}
    assert unused() == everything | {"import-2026-11-24@sha256:i1", "import-2026-11-25@sha256:i2"}


def test_an_image_in_use_keeps_all_its_names() -> None:
    assert unused("simple-server:v1") == {"simple-server:bbb", "sha256:c1", "import-2026-11-24@sha256:i1"}
    assert unused("simple-server:aaa", "simple-server:bbb") == set()


def test_an_image_whose_name_only_begins_alike_is_not_ours() -> None:
    references = [containerd.Reference("docker.io/library/simple-server-two:v1", "sha256:x")]
    assert containerd.unused(references, "simple-server", set(), content) == []
