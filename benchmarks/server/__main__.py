"""Compare the server with other servers under wrk, with one core for the server and one for wrk.

    uv venv /tmp/benchmark && uv pip install -p /tmp/benchmark --require-hashes -r requirements/benchmark.txt
    /tmp/benchmark/bin/python benchmarks/server [--seconds 5] [--requests 1000000]

The comparison is written to benchmarks/README.md; the parts of a response and the memory are only printed.
It needs two cores and Debian's wrk, gcc and libev-dev (for bjoern, which has no wheel).
"""

import argparse
import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import parts
import serving

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import figures

CONNECTIONS = 16
START_SECONDS = 20
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
CLOSE = ("-H", "Connection: close")


@dataclass(frozen=True)
class Load:
    """What wrk reports; latencies are in milliseconds."""

    requests: int
    per_second: float
    p50: float
    p99: float


def wrk(url: str, seconds: float, core: int, *more: str) -> Load:
    """Load a URL from one core. Raises SystemExit if a request failed: the figures would mean nothing."""
    command = ["wrk", "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds:.0f}s", "--latency", *more, url]
    said = subprocess.run(
        command, check=True, capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {core})
    ).stdout
    bad = re.search(r"Non-2xx.*|Socket errors.*", said)
    # with Connection: close, wrk counts a connection that the server closes while wrk still reads as a read error
    if bad and not (more == CLOSE and re.search(r"connect 0, read \d+, write 0, timeout 0", bad[0])):
        raise SystemExit(f"{' '.join(command)}: {bad[0]}")

    def latency(percent: int) -> float:
        number, unit = re.findall(rf"{percent}%\s+([\d.]+)(us|ms|s)", said)[0]
        return float(number) * UNITS[unit]

    (requests,) = re.findall(r"(\d+) requests in", said)
    (per_second,) = re.findall(r"Requests/sec:\s+([\d.]+)", said)
    return Load(int(requests), float(per_second), latency(50), latency(99))


@contextlib.contextmanager
def running(name: str, core: int) -> Iterator[tuple[str, int]]:
    """Run the server of that name on one core; yield its URL and its process id."""
    with socket.create_server((serving.HOST, 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, str(Path(serving.__file__)), name, str(port)],
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection((serving.HOST, port)).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"{name} does not serve") from None
                time.sleep(0.01)
        yield f"http://{serving.HOST}:{port}/", process.pid
    finally:
        process.kill()
        process.wait()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Print a table; return its lines."""
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---", *["---:"] * (len(head) - 1)], *rows)]
    print(*lines, "", sep="\n")
    return lines


def compare(seconds: float, server_core: int, client_core: int) -> None:
    rows, first = list[list[str]](), Load(0, 0, 0, 0)
    for name in serving.SERVERS:
        with running(name, server_core) as (url, _):
            wrk(url, 1, client_core)  # warm up
            kept = wrk(url, seconds, client_core)
            fresh = wrk(url, seconds, client_core, *CLOSE)
        first = first if first.requests else kept
        measured = [
            f"{kept.per_second:,.0f}",
            f"{kept.p50:.2f}",
            f"{kept.p99:.2f}",
            f"{fresh.per_second:,.0f}",
            f"{fresh.p99:.2f}",
        ]
        rows.append([name, *measured, f"{first.per_second / kept.per_second:.2f}"])
    kinds = ["keep-alive: requests/s", "p50 ms", "p99 ms", "new connections: requests/s", "p99 ms"]
    figures.write("server", table(["server", *kinds, "speed of simple_server relative to it"], rows))


def processes(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(one for child in children for one in processes(int(child)))]


def memory(parent: int) -> float:
    """Return the proportional set size of a process and its children, in MB."""
    said = [Path(f"/proc/{one}/smaps_rollup").read_text() for one in processes(parent)]
    return sum(int(re.findall(r"^Pss:\s+(\d+) kB", one, re.MULTILINE)[0]) for one in said) * 1024 / 1e6


def grow(requests: int, server_core: int, client_core: int) -> None:
    """Print the memory use over at least `requests` requests, and whether the server counted each of them once."""
    with running("simple_server", server_core) as (url, process):
        rows, sent = [["0", f"{memory(process):.1f}"]], 0
        while sent < requests:
            sent += wrk(url, 5, client_core).requests
            rows.append([f"{sent:,}", f"{memory(process):.1f}"])
        told = urllib.request.urlopen(f"{url}metrics").read().decode()
        counted = int(float(re.findall(r"^simple_server_counted_requests_total (\S+)", told, re.MULTILINE)[0]))
    table(["requests", "memory, MB"], rows)
    # when wrk ends, each connection is waiting for a response
    open_requests = CONNECTIONS * (len(rows) - 1)
    exact = "as it should" if sent <= counted <= sent + open_requests else "WRONG"
    print(f"wrk received {sent:,} responses, at most {open_requests} more were in flight,")
    print(f"and the server counted {counted:,}: {exact}.\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5, help="duration of each load")
    parser.add_argument("--requests", type=int, default=1_000_000, help="requests to send while memory is measured")
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or not shutil.which("wrk"):
        raise SystemExit("It needs two cores and wrk: apt-get install wrk")
    server_core, client_core = cores[:2]
    compare(given.seconds, server_core, client_core)
    table(["part of an answer", "µs"], [(name, f"{cost:.2f}") for name, cost in parts.measure()])
    grow(given.requests, server_core, client_core)


if __name__ == "__main__":
    main()
