"""An image archive in Docker's format (as `docker save` writes it), made without an engine.

All images of the archive share one layer and differ in name and entrypoint alone.
Format: the Docker image specification v1.2, https://github.com/moby/docker-image-spec
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path


def diff_id(layer: Path) -> str:
    """The digest by which images name a layer."""
    with layer.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def configuration(layer: str, entrypoint: Sequence[str], architecture: str) -> bytes:
    """The configuration of an image on the layer with that digest."""
    return json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "config": {"Entrypoint": list(entrypoint), "Env": ["PATH=/usr/local/bin:/usr/sbin:/usr/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer]},
        }
    ).encode()


def write(archive: Path, layer: Path, images: Mapping[str, bytes]) -> None:
    """Write `archive` with one image for each name in `images` (reference -> configuration) on the tar file `layer`."""
    manifest = []
    with tarfile.open(archive, "w") as tar:
        tar.add(layer, "layer.tar")
        for reference, config in images.items():
            name = hashlib.sha256(config).hexdigest() + ".json"
            if name not in tar.getnames():
                _add(tar, name, config)
            manifest.append({"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]})
        _add(tar, "manifest.json", json.dumps(manifest).encode())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
