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
INV = str(PROJECT / "inv")
INVOKE = str(PROJECT / ".venv/bin/invoke")
KUBECTL = str(PROJECT / ".venv/bin/kubectl")
ROUNDS = 7


def seconds(commands: list[list[str]], folder: Path) -> float:
    """How long the commands take, one after the other."""
    started = time.perf_counter()
    for argv in commands:
        subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def compare(name: str, ours: list[list[str]], theirs: list[list[str]], folder: Path = PROJECT) -> None:
    """Print a row of the table; `theirs` run in `folder`."""
    rounds = [(seconds(ours, PROJECT), seconds(theirs, folder)) for _ in range(ROUNDS)]
    first, second = (statistics.median(times) for times in zip(*rounds, strict=True))
    print(f"| {name} | {first:.2f} s | {second:.2f} s | {first / second:.2f} |")


def kubectl(*words: str) -> str:
    return " ".join([KUBECTL, *words])


def shell(*lines: str) -> list[str]:
    """Commands one after the other in one shell, as a person would chain them."""
    return ["sh", "-ec", "\n".join(lines)]


NODES = kubectl("get", "nodes")
DEPLOYMENT = kubectl("get", "deployment", "simple-server")
SERVICE = kubectl("get", "service", "simple-server")
ROLLOUT_STATUS = kubectl("rollout", "status", "deployment/simple-server")


def scaled(replicas: int) -> list[str]:
    return shell(kubectl("scale", "deployments/simple-server", f"--replicas={replicas}"), ROLLOUT_STATUS)


def main() -> None:
    os.environ["KUBECONFIG"] = subprocess.check_output([INV, "kubeconfig"], cwd=PROJECT, text=True).strip()
    print("| ours / theirs | ours | theirs | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "tasks.py").write_text("from invoke import task\n@task\ndef nothing(c):\n    pass\n")
        for name, program in (("./inv", INV), ("invoke", INVOKE)):
            title = f"`{name} --list` / `invoke --list` with an empty tasks.py"
            compare(title, [[program, "--list"]], [[INVOKE, "--list"]], Path(empty))
    compare(
        "`./inv scale` to 1 and to 3, until all answer / `kubectl scale` and `rollout status`",
        [[INV, "scale", "--replicas=1"], [INV, "scale", "--replicas=3"]],
        [scaled(1), scaled(3)],
    )
    compare(
        "`./inv deploy` with nothing to do / `kubectl get` twice and `rollout status`",
        [[INV, "deploy"]],
        [shell(NODES, DEPLOYMENT, ROLLOUT_STATUS)],
    )
    compare(
        "`./inv build deploy expose scale` with nothing to do / `kubectl get` four times and `rollout status` twice",
        [[INV, "build", "deploy", "expose", "scale"]],
        [shell(NODES, DEPLOYMENT, ROLLOUT_STATUS, SERVICE, DEPLOYMENT, ROLLOUT_STATUS)],
    )


if __name__ == "__main__":
    main()
