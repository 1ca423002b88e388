"""Compare these fixtures with pytest-kubernetes: from nothing to one test of an application on its own cluster.

    ./inv setup test && .tox/integration/bin/python benchmarks/fixtures.py [ROUNDS]        seven minutes with 3 rounds

Both sides use examples/clock with the manifests that `kubetasks init` writes, and the same kind, node image and base image. They
alternate; each run is a separate pytest, timed from start to end, including the creation and deletion of its cluster. The table
is written to benchmarks/README.md.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import figures
import template

THEIR_RELEASE = "pytest-kubernetes==0.9.0"
OURS = """\
from urllib.request import urlopen

def test_it_answers(k8s_app):
    {scale}assert urlopen(k8s_app.url).status == 200
"""
THEIRS = """\
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

@pytest.mark.k8s(provider="kind", provider_config="kind.yaml")
def test_it_answers(k8s):
    k8s.create()
    subprocess.run(["docker", "build", "--quiet", "--tag", "clock:v1", "."], check=True)
    k8s.load_image("clock:v1")
    k8s.apply(Path("k8s"))
    {scale}k8s.kubectl(["rollout", "status", "deployment/clock"], as_dict=False)
    with k8s.port_forwarding("service/clock", 18181, 8000):
        assert urlopen("http://127.0.0.1:18181/").status == 200
"""
SCALE = {
    "ours": "k8s_app.scale(3)\n    ",
    "theirs": 'k8s.kubectl(["scale", "deployment/clock", "--replicas=3"], as_dict=False)\n    ',
}
KIND = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nname: clock\nnodes: [{{role: control-plane, image: '{node}'}}]\n"
PROVES = [
    ("the deployment is rolled out", "yes", "yes"),
    ("each pod has answered, and the address from outside", "yes", "one pod, through a port-forward"),
    ("a failed test says what was wrong in the cluster", "a diagnosis", "no"),
]


def timed(side: str, pods: int, folder: Path, python: Path, environment: dict[str, str]) -> float:
    """Return the seconds of one pytest run."""
    scale = SCALE[side] if pods > 1 else ""
    (folder / "tests" / "test_cluster.py").write_text({"ours": OURS, "theirs": THEIRS}[side].format(scale=scale))
    argv = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    started = time.perf_counter()
    ended = subprocess.run(argv, cwd=folder, env=os.environ | environment, capture_output=True, text=True)
    if ended.returncode:
        sys.exit(f"{side}: {ended.stdout}{ended.stderr}")
    return time.perf_counter() - started


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else template.ROUNDS
    base, node, kind = template.parts()
    seconds: dict[tuple[str, int], list[float]] = {}
    left: dict[str, set[str]] = {"ours": set(), "theirs": set()}
    with tempfile.TemporaryDirectory() as work:
        programs = Path(work) / "theirs" / "bin"
        subprocess.run([sys.executable, "-m", "venv", programs.parent], check=True)
        subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", THEIR_RELEASE], check=True)
        pythons = {"ours": Path(sys.executable), "theirs": programs / "python"}
        common = {"PATH": os.pathsep.join([str(kind), str(Path(sys.executable).parent), os.environ["PATH"]])}
        mine = {"PYTHONPATH": str(template.PROJECT), "PYTEST_PLUGINS": "kubetasks.pytest_plugin"}
        variables = {"ours": common | mine, "theirs": common | {"PYTHONPATH": ""}}
        folders = {side: template.copy(Path(work) / f"{side}-clock", base) for side in pythons}
        for folder in folders.values():
            init = [sys.executable, "-c", template.PROGRAM, "init", "--yes"]
            subprocess.run(init, cwd=folder, env=os.environ | variables["ours"], check=True, capture_output=True)
            shutil.rmtree(folder / "tests")
            (folder / "tests").mkdir()
            (folder / "kind.yaml").write_text(KIND.format(node=node))
        for _ in range(rounds):
            for pods in (1, 3):
                for side, folder in folders.items():
                    subprocess.run(["docker", "rmi", "--force", "clock:v1"], capture_output=True, check=False)
                    before = template.in_engine()
                    seconds.setdefault((side, pods), []).append(timed(side, pods, folder, pythons[side], variables[side]))
                    left[side] |= {one.partition(" ")[0] for one in template.in_engine() - before}
    medians = {key: statistics.median(found) for key, found in seconds.items()}
    rows = [
        (f"one test, {pods} pod{'s' if pods > 1 else ''}, s", *(f"{medians[side, pods]:.1f}" for side in pythons))
        for pods in (1, 3)
    ]
    rows += [*PROVES, ("left in the engine", *(", ".join(sorted(left[side])) or "nothing" for side in pythons))]
    lines = [
        f"`benchmarks/fixtures.py`, {rounds} rounds, medians, {os.cpu_count()} cores:",
        "",
        f"| examples/clock | these fixtures | {THEIR_RELEASE.replace('==', ' ')} |",
        "|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    figures.write("fixtures", lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
