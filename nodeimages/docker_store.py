"""The data folder of a Docker engine that holds images, made without an engine.

All images share one layer. The layout is that of the storage driver overlay2, which each Docker from 1.12 to 28 reads.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from kubetasks.terminal import shell

LINK = "L" * 26  # the layer's short name, for the options of a mount


def write(folder: Path, layer: Path, diff_id: str, images: Mapping[str, bytes], log: Path) -> None:
    """Fill the empty `folder`: `images` maps references to their configurations on the tar file `layer`. Raises ProgramError."""
    digest = diff_id.partition(":")[2]
    content = folder / "overlay2" / digest
    (content / "diff").mkdir(parents=True)
    shell.run(["tar", "-C", str(content / "diff"), "--numeric-owner", "-xf", str(layer)], log=log)
    (content / "link").write_text(LINK)
    (folder / "overlay2" / "l").mkdir()
    (folder / "overlay2" / "l" / LINK).symlink_to(f"../{digest}/diff")

    described = folder / "image" / "overlay2" / "layerdb" / "sha256" / digest
    described.mkdir(parents=True)
    (described / "cache-id").write_text(digest)
    (described / "diff").write_text(diff_id)
    (described / "size").write_text(str(layer.stat().st_size))

    known = folder / "image" / "overlay2" / "imagedb" / "content" / "sha256"
    known.mkdir(parents=True)
    repositories: dict[str, dict[str, str]] = {}
    for reference, config in images.items():
        name = hashlib.sha256(config).hexdigest()
        (known / name).write_bytes(config)
        repositories.setdefault(reference.rpartition(":")[0], {})[reference] = f"sha256:{name}"
    (folder / "image" / "overlay2" / "repositories.json").write_text(json.dumps({"Repositories": repositories}))
