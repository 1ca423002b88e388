"""The base image with Python, from Debian's packages."""

import shutil
from pathlib import Path

TRUSTED = "etc/ssl/certs/ca-certificates.crt"
IMAGE_CHANGES = ['CMD ["python3"]']


def complete(root: Path) -> None:
    """Let the Debian file system `root` trust whom this machine trusts: images built on it fetch their packages from here."""
    trusted = Path("/") / TRUSTED
    if trusted.exists():
        shutil.copyfile(trusted, root / TRUSTED)
