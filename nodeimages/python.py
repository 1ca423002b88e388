"""Complete the base image with Python, from Debian's packages."""

import shutil
from pathlib import Path

PACKAGES = "python3 python3-venv ca-certificates".split()
TRUSTED = "etc/ssl/certs/ca-certificates.crt"
IMAGE_CHANGES = ['CMD ["python3"]']


def complete(root: Path) -> None:
    """Give the Debian file system `root` this machine's trusted certificates: builds on it download from the same mirrors."""
    trusted = Path("/") / TRUSTED
    if trusted.exists():
        shutil.copyfile(trusted, root / TRUSTED)
