"""kubectl: where it is, and what only that program does."""

import shutil
import sys
from pathlib import Path

from kubetasks.terminal import shell

KUSTOMIZE_SECONDS = 120  # it may fetch what a kustomization names


def path() -> str:
    """The kubectl of this Python environment, otherwise the one on PATH, or ""."""
    own = Path(sys.executable).with_name("kubectl")
    return str(own) if own.exists() else shutil.which("kubectl") or ""


def kustomize(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder. Raises SetupError, ProgramError."""
    return shell.run([path() or "kubectl", "kustomize", str(folder)], timeout=KUSTOMIZE_SECONDS)
