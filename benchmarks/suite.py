"""Time `./inv setup test` and `./inv setup test --all`, each run in a fresh clone, and write a table to benchmarks/README.md.

    .venv/bin/python benchmarks/suite.py --core=3 --all=2

It needs everything that setup installs. Each row ends with the seconds to import invoke, docker and kubernetes before the run.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from ci import matrix  # noqa: E402
from kubetasks.terminal.report import duration  # noqa: E402

ROW = re.compile(r"^(\S+(?: [\d.]+)?)  +((?:passed|failed|not tested|\d+ passed).*?)  +(\S.*? s)  ", re.MULTILINE)


def run(options: list[str]) -> tuple[float, str, bool]:
    """Run the tests in a fresh clone; return the seconds, what was printed, and whether they passed."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", PROJECT, folder], check=True)
        started = time.monotonic()
        ended = subprocess.run(["./inv", "setup", "test", *options], cwd=folder, capture_output=True, text=True)
        seconds = time.monotonic() - started
    if ended.returncode:
        print(f"{ended.stdout}{ended.stderr}", file=sys.stderr)
    return seconds, ended.stdout, not ended.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", type=int, default=3, metavar="N", help="runs of the core tier")
    parser.add_argument("--all", type=int, default=2, metavar="N", help="runs of the thorough tier")
    asked = parser.parse_args()
    lines = ["| command | whole | its parts | importing |", "|---|---|---|---|"]
    for options, times in ([], asked.core), (["--all"], asked.all):
        for _ in range(times):
            yardstick = matrix.yardstick()
            seconds, said, passed = run(options)
            parts = ", ".join(f"{name} {took}" for name, _, took in ROW.findall(said))
            whole = duration(seconds) if passed else f"{duration(seconds)}, failed"
            lines.append(f"| `{' '.join(['./inv setup test', *options])}` | {whole} | {parts} | {yardstick:.2f} s |")
            print(lines[-1], flush=True)
    figures.write("suite", lines)


if __name__ == "__main__":
    main()
