"""The tasks against the bare commands that they mirror, in one run on one cluster; prints a table.

    .venv/bin/python benchmarks/compare.py        after: ./inv setup up

Each pair is run in turn, ROUNDS times, and the medians are compared.
"""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
INVOKE = [str(PROJECT / ".venv/bin/invoke")]
KUBECTL = str(PROJECT / ".venv/bin/kubectl")
ROUNDS = 5


def seconds(argv: list[str], folder: Path = PROJECT) -> float:
    """How long one run takes."""
    started = time.perf_counter()
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def kubectl(*words: str) -> list[str]:
    return [KUBECTL, *words]


def shell(*commands: list[str]) -> list[str]:
    """Commands one after the other in one shell, as a person would chain them."""
    return ["sh", "-ec", "\n".join(" ".join(command) for command in commands)]


def scaled(replicas: int) -> list[str]:
    return shell(
        kubectl("scale", "deployments/simple-server", f"--replicas={replicas}"),
        kubectl("rollout", "status", "deployment/simple-server"),
    )


def main() -> None:
    os.environ["KUBECONFIG"] = subprocess.check_output([*INVOKE, "kubeconfig"], cwd=PROJECT, text=True).strip()
    rows: list[tuple[str, list[float], list[float]]] = []

    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "tasks.py").write_text("from invoke import task\n@task\ndef nothing(c):\n    pass\n")
        theirs = [seconds([*INVOKE, "--list"], Path(empty)) for _ in range(2 * ROUNDS)]
    ours = [seconds([*INVOKE, "--list"]) for _ in range(2 * ROUNDS)]
    rows.append(("`inv --list` / the same with an empty tasks.py", ours, theirs))

    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(seconds([*INVOKE, "scale", "--replicas=1"]) + seconds([*INVOKE, "scale", "--replicas=3"]))
        theirs.append(seconds(scaled(1)) + seconds(scaled(3)))
    rows.append(("`inv scale` to 1 and to 3, until all answer / `kubectl scale` and `rollout status`", ours, theirs))

    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(seconds([*INVOKE, "deploy"]))
        theirs.append(
            seconds(
                shell(
                    kubectl("get", "nodes"),
                    kubectl("get", "deployment", "simple-server"),
                    kubectl("rollout", "status", "deployment/simple-server"),
                )
            )
        )
    rows.append(("`inv deploy` with nothing to do / `kubectl get` twice and `rollout status`", ours, theirs))

    print("| ours / theirs | ours | theirs | ratio |\n|---|---|---|---|")
    for name, mine, other in rows:
        first, second = statistics.median(mine), statistics.median(other)
        print(f"| {name} | {first:.2f} s | {second:.2f} s | {first / second:.2f} |")


if __name__ == "__main__":
    main()
