"""The registry of a cluster: Distribution's, as the only program of an image, with files as the only storage."""

import shutil
from pathlib import Path

from nodeimages import compiler
from nodeimages.compiler import Go, Progress
from nodeimages.names import REGISTRY_SOURCE

CONFIG = "etc/distribution/config.yml"  # where the published image has it too
IMAGE_CHANGES = [f'ENTRYPOINT ["registry", "serve", "/{CONFIG}"]', "EXPOSE 5000"]


def build(root: Path, go: Go, progress: Progress) -> None:
    """Make the image's file system `root`. Raises ProgramError."""
    compiler.build(go, REGISTRY_SOURCE, (".",), root / "bin", progress, stamp={})
    (root / CONFIG).parent.mkdir(parents=True)
    shutil.copy(REGISTRY_SOURCE / "config.yml", root / CONFIG)
