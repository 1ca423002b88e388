"""Measure how soon a problem is reported, and whether an ordinary deployment under load is ever mistaken for one.

    ./inv setup test && .tox/integration/bin/python benchmarks/problems.py [ROUNDS [DEPLOYMENTS]]        about 10 minutes

The seconds are counted from the change to the deployment until `./inv scale` has ended with the diagnosis. The benchmark has its
own cluster, and deletes it at the end. It writes its table to benchmarks/README.md.
"""

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
figures.require_the_tests()

from kubetasks.errors import RolloutError  # noqa: E402
from tests.support import source  # noqa: E402
from tests.support.faults import FAULTS  # noqa: E402

ENVIRONMENT = os.environ | {"INVOKE_CLUSTER_NAME": "benchmark", "INVOKE_CLUSTER_PORT": "18090"}
ROUNDS = 5
DEPLOYMENTS = 50
REPLICAS = 3
MEASURED = ("image-never-pull", "crash-loop", "unschedulable", "not-ready", "container-config")


def inv(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "kubetasks", *words]
    return subprocess.run(argv, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def done(folder: Path, *words: str) -> str:
    ended = inv(folder, *words)
    if ended.returncode:
        sys.exit(f"{words} ended with {ended.returncode}: {ended.stderr}")
    return ended.stdout


def named(folder: Path, kubeconfig: str, code: str) -> float:
    """Introduce a fault, return the seconds until a task has reported it, and roll it back."""
    container = {"name": "simple-server", **FAULTS[code][0]}
    patch = json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}})
    kubectl = [str(Path(sys.executable).parent / "kubectl"), "--kubeconfig", kubeconfig]
    started = time.perf_counter()
    subprocess.run([*kubectl, "patch", "deployment", "simple-server", "--patch", patch], check=True, capture_output=True)
    ended = inv(folder, "scale", "--replicas=1")
    seconds = time.perf_counter() - started
    if ended.returncode != RolloutError.code or code not in ended.stderr:
        sys.exit(f"{code} was not named: {ended.returncode}, {ended.stderr}")
    done(folder, "rollback")
    return seconds


def burn() -> None:
    while True:
        pass


def false_alarms(folder: Path, number: int) -> list[str]:
    """Roll out `number` changes while every core is busy; return the error output of those that failed."""
    burners = [multiprocessing.Process(target=burn, daemon=True) for _ in range(os.cpu_count() or 1)]
    for burner in burners:
        burner.start()
    failed = []
    try:
        for _ in range(number):
            source.edit(folder, f"# {time.time()}")
            ended = inv(folder, "build", "deploy")
            if ended.returncode:
                failed.append(ended.stderr)
    finally:
        for burner in burners:
            burner.terminate()
            burner.join()
    return failed


def main() -> None:
    given = [int(word) for word in sys.argv[1:]]
    rounds, number = (*given, *(ROUNDS, DEPLOYMENTS)[len(given) :])
    with tempfile.TemporaryDirectory() as work:
        folder = source.changed(Path(work))
        try:
            done(folder, "start", "build", "deploy", "expose")
            kubeconfig = done(folder, "kubeconfig").strip()
            seconds = {code: [named(folder, kubeconfig, code) for _ in range(rounds)] for code in MEASURED}
            done(folder, "scale", f"--replicas={REPLICAS}")
            failed = false_alarms(folder, number)
        finally:
            inv(folder, "clean", "--all")
    lines = ["| problem | seconds, median | least | most |", "|---|---:|---:|---:|"]
    lines += [
        f"| `{code}` | {statistics.median(values):.1f} | {min(values):.1f} | {max(values):.1f} |"
        for code, values in seconds.items()
    ]
    lines += ["", f"{rounds} rounds each on {os.cpu_count()} cores, the start of kubectl and of the task included."]
    lines += [
        f"Of {number} ordinary deployments of {REPLICAS} replicas with every core busy, {len(failed)} were taken for a problem."
    ]
    figures.write("problems", lines)
    print("\n".join([*lines, *failed]))


if __name__ == "__main__":
    main()
