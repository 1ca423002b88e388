"""The log of setup: one file in the cache folder, with a section for each run."""

import os
import time
from pathlib import Path


def new_log(cache: Path) -> Path:
    """Start this run's section of the log, and return the log's path."""
    log = cache / "logs" / "setup.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as out:
        out.write(f"\n=== {time.strftime('%Y-%m-%d %H:%M:%S')}, process {os.getpid()} ===\n")
    return log
