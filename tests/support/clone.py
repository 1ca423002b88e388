"""A fresh clone: what a commit of the working tree would hold."""

import shutil
import subprocess
from pathlib import Path

from tasks import PROJECT


def clone(folder: Path) -> Path:
    """Copy it to a folder."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=PROJECT.folder, text=True
    )
    for name in filter(None, listed.split("\0")):
        if (PROJECT.folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT.folder / name, folder / name)
    return folder
