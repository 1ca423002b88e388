"""The log of setup: one file in the cache folder, a section for each run."""

import os
import time
from pathlib import Path

LARGE = 5_000_000  # bytes


def new_log(cache: Path) -> Path:
    """Begin this run's section of the log, and return its path; a log that has grown large is renamed to setup.old.log first."""
    folder = cache / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "setup.log"
    if log.exists() and log.stat().st_size > LARGE:
        log.replace(folder / "setup.old.log")
    with log.open("a", encoding="utf-8") as out:
        out.write(f"\n=== {time.strftime('%Y-%m-%d %H:%M:%S')}, process {os.getpid()} ===\n")
    return log
