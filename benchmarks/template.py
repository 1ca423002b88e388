"""Compare the tasks with the shell for another project's application: from nothing, and from an edit, until it is served.

    ./inv setup test && .tox/integration/bin/python benchmarks/template.py [ROUNDS]        five minutes with 3 rounds

Both sides use examples/clock, and alternate. What is left is what the engine has at the end but did not have before. The table
is written to benchmarks/README.md.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import figures

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
figures.require_the_tests()

import tasks  # noqa: E402
from kubetasks.engine import client  # noqa: E402
from kubetasks.project import settings  # noqa: E402
from kubetasks.setup import requirements  # noqa: E402

ROUNDS = 3
NAME = "clock"
PORT = 18180
URL = f"http://127.0.0.1:{PORT}/"
PROGRAM = "import sys; sys.argv[0] = 'kubetasks'; from kubetasks.__main__ import main; main()"
KIND = f"""\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraPortMappings:
      - containerPort: 30080
        hostPort: {PORT}
        listenAddress: 127.0.0.1
"""
SHELL_UP = """\
kind create cluster --name clock --image $NODE --config kind.yaml --wait 60s
docker build --quiet --tag clock:v1 .
kind load docker-image --name clock clock:v1
kubectl create deployment clock --image=clock:v1 --port=8000
kubectl create service nodeport clock --tcp=8000:8000 --node-port=30080
kubectl scale deployment/clock --replicas=3
kubectl rollout status deployment/clock
"""
SHELL_EDIT = """\
docker build --quiet --tag clock:v2 .
kind load docker-image --name clock clock:v2
kubectl set image deployment/clock clock=clock:v2
kubectl rollout status deployment/clock
"""
SHELL_REMOVE = "kind delete cluster --name clock; docker rmi --force clock:v1 clock:v2\n"
TASKS = {"up": "kubetasks up\n", "edit": "kubetasks build deploy\n", "remove": "kubetasks clean --all\n"}
SHELL = {"up": SHELL_UP, "edit": SHELL_EDIT, "remove": SHELL_REMOVE}


def answer() -> str:
    """Return the response body, or "" without a good response."""
    try:
        with urllib.request.urlopen(URL, timeout=2) as found:
            return str(found.read().decode())
    except OSError:
        return ""


class Side:
    """One side of the comparison, in a copy of the application, with its measurements."""

    def __init__(self, folder: Path, scripts: dict[str, str], environment: dict[str, str], base: str) -> None:
        (copy(folder, base) / "kind.yaml").write_text(KIND)
        self._folder, self._scripts, self._environment = folder, scripts, os.environ | environment
        self.seconds: dict[str, list[float]] = {"up": [], "edit": []}
        self.lost: list[int] = []
        self.left: set[str] = set()

    def _run(self, name: str) -> None:
        script = f"set -e\n{self._scripts[name]}"
        ended = subprocess.run(["bash", "-c", script], cwd=self._folder, env=self._environment, capture_output=True, text=True)
        if ended.returncode:
            sys.exit(f"{script} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")

    def measure(self, number: int) -> None:
        before = in_engine()
        self._timed("up", bool)
        source, word = self._folder / "clock.py", f"edit {number}"
        source.write_text(source.read_text().replace('timespec="seconds")', f'timespec="seconds") + "{word}"'))
        over = threading.Event()
        lost: list[bool] = []

        def client() -> None:
            while not over.wait(0.005):
                lost.append(not answer())

        sending = threading.Thread(target=client)
        sending.start()
        self._timed("edit", lambda found: word in found)
        over.set()
        sending.join()
        self.lost.append(sum(lost))
        self._run("remove")
        shutil.copy(PROJECT / "examples" / NAME / "clock.py", source)
        self.left |= in_engine() - before

    def _timed(self, name: str, done: Callable[[str], bool]) -> None:
        started = time.perf_counter()
        self._run(name)
        while not all(done(answer()) for _ in range(10)):
            time.sleep(0.05)
        self.seconds[name].append(time.perf_counter() - started)

    def cells(self) -> list[str]:
        lines = [script.strip().splitlines() for script in self._scripts.values()]
        told = [f"{statistics.median(found):.1f}" for found in self.seconds.values()]
        return [str(len(lines[0])), *told, str(max(self.lost)), ", ".join(sorted(self.left)) or "nothing"]


def copy(folder: Path, base: str) -> Path:
    """Copy the application to `folder`, with this base image; return `folder`."""
    shutil.copytree(PROJECT / "examples" / NAME, folder)
    dockerfile = folder / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("python:3.14-slim", base))
    return folder


def parts() -> tuple[str, str, Path]:
    """Return the base image and the node image that setup has installed, and the folder with its kind program."""
    found = settings.read(tasks.PROJECT, settings.DEFAULTS)
    engine = client.connect()
    base, node = (part.find(engine, found).reference for part in (requirements.BASE_IMAGE, requirements.KIND_NODE_IMAGE))
    return base, node, Path(requirements.KIND.find(None, found).reference).parent


def in_engine() -> set[str]:
    """Return the images, containers, volumes and networks in the engine."""
    lists = {"image": "images --all --quiet", "container": "ps --all --quiet", "volume": "volume ls --quiet"}
    lists["network"] = "network ls --format={{.Name}}"
    found = set()
    for kind, words in lists.items():
        names = subprocess.run(["docker", *words.split()], capture_output=True, text=True, check=True).stdout.split()
        found |= {f"{kind} {name}" for name in names}
    return found


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    base, node, kind = parts()
    with tempfile.TemporaryDirectory() as work:
        programs = Path(work) / "bin"
        programs.mkdir()
        (programs / "kubetasks").write_text(f'#!/bin/sh\nexec {sys.executable} -c "{PROGRAM}" "$@"\n')
        (programs / "kubetasks").chmod(0o755)
        path = os.pathsep.join([str(programs), str(kind), str(Path(sys.executable).parent), os.environ["PATH"]])
        common = {"PATH": path, "PYTHONPATH": str(PROJECT), "NODE": node, "KUBECONFIG": str(Path(work) / "kubeconfig")}
        ours = Side(Path(work) / "tasks", TASKS, common | {"INVOKE_KUBETASKS_CLUSTER_PORT": str(PORT)}, base)
        shell = Side(Path(work) / "shell", SHELL, common, base)
        for number in range(rounds):
            for side in (ours, shell):
                side.measure(number)
    names = ["commands to type", "nothing → three pods answer, s", "edit → served, s"]
    names += ["requests without an answer meanwhile, of one client, at most", "left in the end"]
    lines = [
        f"`benchmarks/template.py`, {rounds} rounds, medians, {os.cpu_count()} cores:",
        "",
        "| examples/clock | kubetasks | docker, kind, kubectl |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in zip(names, ours.cells(), shell.cells(), strict=True)),
    ]
    figures.write("template", lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
