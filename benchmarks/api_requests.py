"""Count the requests that tasks send to the API server, for more and more replicas, and print a table.

    INVOKE_CLUSTER_NODES=3 ./inv up && .venv/bin/python benchmarks/api_requests.py

Each pod requests 20m of CPU: 100 of them need more than one small node. Afterwards the deployment has 3 replicas again.
"""

import io
import logging
import sys
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

from kubetasks.__main__ import Tasks  # noqa: E402
from tasks import ns  # noqa: E402

REPLICAS = (3, 30, 100, 3)
TASKS = (("scale", "--replicas={}"), ("scale", "--replicas={}"), ("status",))
LOGGED = 8  # scheme, host, port, method, target, protocol, status, length


class Requests(logging.Handler):
    """Counts the requests to the API server that urllib3 logs."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if not isinstance(record.args, tuple) or len(record.args) < LOGGED or record.args[0] != "https":
            return  # a request to the engine, or another kind of line
        method, target = str(record.args[3]), str(record.args[4])
        self.counts[f"{'watch' if 'watch=true' in target else method.lower()} {plural(target)}"] += 1


def plural(target: str) -> str:
    """Return the resource in an API path: /apis/apps/v1/namespaces/default/deployments/x?y -> deployments."""
    parts = target.partition("?")[0].strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if not parts:
        return target  # /version
    return parts[2] if parts[0] == "namespaces" and len(parts) > 2 else parts[0]


def run(*words: str) -> None:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        try:
            Tasks(name="inv", binary="./inv", binary_names=["inv"], namespace=ns).run(["inv", *words])
        except SystemExit as ended:
            if ended.code:
                sys.exit(f"inv {' '.join(words)} ended with {ended.code}: {said.getvalue()}")


def main() -> None:
    logger = logging.getLogger("urllib3.connectionpool")
    logger.setLevel(logging.DEBUG)
    print("| task | seconds | requests | of which |\n|---|---:|---:|---|")
    for replicas in REPLICAS:
        for words in TASKS:
            typed = [word.format(replicas) for word in words]
            counted = Requests()
            logger.addHandler(counted)
            started = time.perf_counter()
            run(*typed)
            took = time.perf_counter() - started
            logger.removeHandler(counted)
            parts = ", ".join(f"{number} {what}" for what, number in counted.counts.most_common())
            print(f"| `{' '.join(typed)}` | {took:.1f} | {counted.counts.total()} | {parts} |", flush=True)


if __name__ == "__main__":
    main()
