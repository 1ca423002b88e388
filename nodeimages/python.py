"""Complete the base image with Python, from Debian's packages."""

import shutil
from pathlib import Path

TRUSTED = "etc/ssl/certs/ca-certificates.crt"
IMAGE_CHANGES = ['CMD ["python3"]']
DEFAULT = "python3"  # the package of a release's own Python


def packages(python: str) -> list[str]:
    """What an image with that package of Debian's has."""
    return [python, f"{python}-venv", "ca-certificates"]


def complete(root: Path) -> None:
    """Give the Debian file system `root` this machine's trusted certificates: builds on it download from the same mirrors."""
    trusted = Path("/") / TRUSTED
    if trusted.exists():
        shutil.copyfile(trusted, root / TRUSTED)
