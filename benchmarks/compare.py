"""Compare the tasks with the shell commands that they mirror, alternating, and write a table to benchmarks/README.md.

    ./inv setup test && .tox/integration/bin/python benchmarks/compare.py [ROUNDS]        about an hour with 11 rounds

The first round is dropped. On both sides, a changed source counts as served when each of the pods has returned its build id
over new connections. The benchmark has its own cluster, and deletes it at the end.
"""

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import figures

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
figures.require_the_tests()

import tasks  # noqa: E402
from kubetasks.__main__ import handle_signals  # noqa: E402
from kubetasks.engine import client  # noqa: E402
from kubetasks.errors import RolloutError  # noqa: E402
from kubetasks.pipeline import probe  # noqa: E402
from kubetasks.project import settings  # noqa: E402
from kubetasks.setup import requirements  # noqa: E402
from tests.support import source  # noqa: E402

APPLICATION = tasks.PROJECT.application

NAME = "benchmark"
ROUNDS = 11
REPLICAS = 3
SETTLE_SECONDS = 5.0  # until the pods of the previous round are gone
SECONDS = 60.0
BIN = Path(sys.executable).parent


@dataclass
class Row:
    """Seconds of the tasks, and of what they are compared with."""

    name: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    def cells(self) -> list[str]:
        ours, theirs = self.ours[1:], self.theirs[1:]
        ratio = statistics.median(ours) / statistics.median(theirs)
        bar = "█" * round(min(ratio, 4) * 5)
        return [self.name, str(len(ours)), *map(_both, (ours, theirs)), f"{ratio:.2f}", bar]


def _both(seconds: list[float]) -> str:
    """Return median and 90th percentile."""
    high = statistics.quantiles(seconds, n=10, method="inclusive")[-1] if len(seconds) > 1 else seconds[0]
    return f"{statistics.median(seconds):.2f} ({high:.2f})"


def run(*argv: str, folder: Path = PROJECT, code: int = 0) -> str:
    ended = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode != code:
        sys.exit(f"{argv} ended with {ended.returncode}: {ended.stdout}{ended.stderr}")
    return ended.stdout


def inv(folder: Path, *words: str, code: int = 0) -> str:
    return run(sys.executable, "-m", "kubetasks", *words, folder=folder, code=code)


def kubectl(*words: str) -> str:
    return run(str(BIN / "kubectl"), *words)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def served(url: str, build: str, replicas: int = REPLICAS) -> None:
    """Wait until all of ten answers per replica have this build, and `replicas` pods have given them."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        answers = [probe.ask(APPLICATION, url, APPLICATION.health) for _ in range(10 * replicas)]
        builds = {str(answer["build"]) if answer else "" for answer in answers}
        if builds == {build} and len({answer[APPLICATION.pod_key] for answer in answers if answer}) == replicas:
            return
    sys.exit(f"{replicas} pods did not serve {build} within {SECONDS:.0f} s")


class Copy:
    """A copy of the project whose source is edited."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        source.changed(self.folder)

    def edit(self) -> None:
        source.edit(self.folder, f"# {time.time()}")


class Shell:
    """What a user types."""

    def __init__(self, copy: Copy, kind: str, base: str, node: str) -> None:
        self._copy, self._kind, self._base, self._node = copy, kind, base, node
        self._number = 0

    def _arguments(self, build: str) -> list[str]:
        given = {"BASE": self._base, "BUILD_ID": build}
        words = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
        return [*words, "--label", APPLICATION.owner.selector]  # so that `clean` removes these images too

    def roll_out(self) -> str:
        """Build, load and roll out an image; return its build id."""
        self._number += 1
        build = f"shell-{self._number}"
        image = f"{APPLICATION.name}:{build}"
        arguments = self._arguments(build)
        run("docker", "build", "--quiet", *arguments, "--tag", image, ".", folder=self._copy.folder)
        run(self._kind, "load", "docker-image", "--name", NAME, image)
        kubectl("set", "image", "deployment/simple-server", f"{APPLICATION.name}={image}")
        kubectl("rollout", "status", "deployment/simple-server")
        return build

    def name_broken_image(self) -> None:
        """Watch the pods until one reports that its image is not on the node: the earliest that a user can know."""
        reason = "{.status.containerStatuses[*].state.waiting.reason}{'\\n'}".replace("'", '"')
        argv = [str(BIN / "kubectl"), "get", "pods", "--watch", f"--output=jsonpath={reason}"]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            next(line for line in process.stdout or () if "ErrImageNeverPull" in line)
            process.terminate()

    def clean(self) -> None:
        """Remove what `inv clean` removes."""
        kinds = ("service/simple-server", "deployment/simple-server", "poddisruptionbudget/simple-server")
        kubectl("delete", *kinds)
        kubectl("wait", "--for=delete", "pod", f"--selector={APPLICATION.selector}", f"--timeout={SECONDS:.0f}s")
        mine = [f"--filter=label=app.kubernetes.io/managed-by={APPLICATION.owner.name}", f"--filter=reference={APPLICATION.name}"]
        run("docker", "rmi", "--force", *run("docker", "images", "--quiet", *mine).split())
        images = ("docker", "exec", f"{NAME}-control-plane", "ctr", "--namespace=k8s.io", "images")
        run(*images, "rm", *(one for one in run(*images, "ls", "--quiet").split() if f"/{APPLICATION.name}:" in one))

    def up(self, kubeconfig: Path) -> None:
        """Create cluster, image, and three pods behind a service; no load balancer, which kubectl alone does not install."""
        config = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes: [{role: control-plane, extraPortMappings: "
        config += "[{containerPort: 30080, hostPort: 18080, listenAddress: 127.0.0.1}]}]\n"
        file = self._copy.folder / "kind.yaml"
        file.write_text(config)
        where = ["--name", NAME, "--kubeconfig", str(kubeconfig)]
        run("docker", "network", "create", NAME)  # not kind's own network, which would be left behind
        os.environ["KIND_EXPERIMENTAL_DOCKER_NETWORK"] = NAME
        run(self._kind, "create", "cluster", *where, "--image", self._node, "--config", str(file), "--wait", "60s")
        image = f"{APPLICATION.name}:v1"
        run("docker", "build", "--quiet", *self._arguments("shell"), "--tag", image, ".", folder=self._copy.folder)
        run(self._kind, "load", "docker-image", "--name", NAME, image)
        kubectl("apply", "--kubeconfig", str(kubeconfig), "-f", str(PROJECT / "k8s"))
        port = '[{"op": "add", "path": "/spec/ports/0/nodePort", "value": 30080}]'
        kubectl("patch", "service", "simple-server", "--type=json", "-p", port, "--kubeconfig", str(kubeconfig))
        kubectl("scale", "deployment/simple-server", f"--replicas={REPLICAS}", "--kubeconfig", str(kubeconfig))
        kubectl("rollout", "status", "deployment/simple-server", "--kubeconfig", str(kubeconfig))
        served("http://127.0.0.1:18080/", "shell")

    def delete(self, kubeconfig: Path) -> None:
        run(self._kind, "delete", "cluster", "--name", NAME, "--kubeconfig", str(kubeconfig))
        run("docker", "network", "rm", NAME)
        inv(self._copy.folder, "rmi")


@contextmanager
def dev(copy: Copy) -> Iterator[Callable[[], str]]:
    """Run `inv dev` in a copy; yield a function that waits until it reports the next served build, and returns the build id."""
    argv = [sys.executable, "-m", "kubetasks", "dev"]
    with subprocess.Popen(argv, cwd=copy.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        lines = iter(process.stdout.readline if process.stdout else str, "")
        next(line for line in lines if "Watching" in line)

        def next_build() -> str:
            for line in lines:
                found = re.search(r"pods serve ([0-9a-f]{12})", line)
                if found:
                    return found[1]
            sys.exit("inv dev has ended")

        try:
            yield next_build
        finally:
            process.terminate()
            process.communicate()


def scaled(url: str, build: str, replicas: int) -> None:
    kubectl("scale", "deployment/simple-server", f"--replicas={replicas}")
    kubectl("rollout", "status", "deployment/simple-server")
    served(url, build, replicas)


def settle() -> None:
    """Wait until one pod is left: terminating pods count towards the node's limit."""
    deadline = time.monotonic() + SECONDS
    while len(kubectl("get", "pods", "--output=name").split()) > 1:
        if time.monotonic() > deadline:
            sys.exit(f"Pods were still terminating after {SECONDS:.0f} s")
        time.sleep(1)
    time.sleep(SETTLE_SECONDS)


def cold(shell: Shell, copy: Copy, folder: Path, rounds: int) -> Row:
    """Measure from nothing, except the images that setup installs, to three pods that answer."""
    row = Row("nothing → three pods answer (`inv up`; the shell installs no load balancer)")
    kubeconfig = folder / "kubeconfig"
    for _ in range(rounds):
        row.ours.append(timed(lambda: inv(copy.folder, "up")))
        inv(copy.folder, "clean", "--all")
        row.theirs.append(timed(lambda: shell.up(kubeconfig)))
        shell.delete(kubeconfig)
    return row


def warm(shell: Shell, watched: Copy, edited: Copy, rounds: int, measured: list[Row]) -> None:
    """Measure the rest on one cluster; its rows are in `measured` from the start, and grow."""
    url = inv(edited.folder, "service").strip()
    rows = {
        "dev": Row("edit → served by three pods (`inv dev`)"),
        "deploy": Row("the same (`inv build deploy`)"),
        "nothing": Row("nothing changed (`inv build deploy expose scale` / importing invoke, docker and kubernetes)"),
        "three": Row("scale 1 → 3, all answer"),
        "thirty": Row("scale 1 → 30, all answer"),
        "ninety": Row("scale 1 → 90, all answer"),
        "broken": Row("an image that is not on the node is named (the shell: in a watch of the pods)"),
        "clean": Row("clean: service, three pods and images are gone"),
        "list": Row("`inv --list` / `invoke --list` with an empty tasks.py"),
    }
    measured += rows.values()
    empty = edited.folder / "empty"
    empty.mkdir()
    (empty / "tasks.py").write_text("from invoke import task\n@task\ndef nothing(c):\n    pass\n")
    with dev(watched) as next_build:
        for _ in range(rounds):

            def by_dev() -> None:
                watched.edit()
                served(url, next_build())

            def by_tasks() -> None:
                edited.edit()
                argv = [sys.executable, "-m", "kubetasks", "build", "deploy"]
                said = subprocess.run(argv, cwd=edited.folder, capture_output=True, text=True, check=True).stderr
                served(url, re.findall(rf"{APPLICATION.name}:([0-9a-f]{{12}})", said)[0])

            def by_shell() -> None:
                edited.edit()
                served(url, shell.roll_out())

            for key, works in (("dev", (by_dev,)), ("deploy", (by_tasks, by_shell))):
                for side, work in zip(("ours", "theirs"), works, strict=False):
                    getattr(rows[key], side).append(timed(work))
                    time.sleep(SETTLE_SECONDS)
            rows["dev"].theirs.append(rows["deploy"].theirs[-1])
    inv(edited.folder, "build", "deploy")
    build = str((probe.ask(APPLICATION, url, APPLICATION.health) or {})["build"])
    imports = "import invoke, docker, kubernetes.client, kubernetes.config"
    for _ in range(rounds):
        rows["nothing"].ours.append(timed(lambda: inv(edited.folder, "build", "deploy", "expose", "scale")))
        rows["nothing"].theirs.append(timed(lambda: run(sys.executable, "-c", imports)))
        rows["list"].ours.append(timed(lambda: inv(edited.folder, "--list")))
        rows["list"].theirs.append(timed(lambda: run(str(BIN / "invoke"), "--list", folder=empty)))
    for _ in range(rounds):
        inv(edited.folder, "build", "deploy", "expose", "scale")
        for side, naming in (
            ("ours", partial(inv, edited.folder, "scale", code=RolloutError.code)),
            ("theirs", shell.name_broken_image),
        ):
            kubectl("set", "image", "deployment/simple-server", f"{APPLICATION.name}={APPLICATION.name}:missing")
            getattr(rows["broken"], side).append(timed(naming))
            inv(edited.folder, "deploy")
            time.sleep(SETTLE_SECONDS)
        rows["clean"].ours.append(timed(lambda: inv(edited.folder, "clean")))
        inv(edited.folder, "build", "deploy", "expose", "scale")
        time.sleep(SETTLE_SECONDS)
        rows["clean"].theirs.append(timed(shell.clean))
    inv(edited.folder, "build", "deploy", "expose", "scale")
    # a node takes 110 pods, but 90 with the manifest's CPU requests do not fit on two cores
    kubectl("set", "resources", "deployment/simple-server", "--requests=cpu=5m")
    kubectl("rollout", "status", "deployment/simple-server")
    for key, replicas in (("three", 3), ("thirty", 30), ("ninety", 90)):
        for _ in range(rounds):
            for side, scaling in (
                ("ours", partial(inv, edited.folder, "scale", f"--replicas={replicas}")),
                ("theirs", partial(scaled, url, build, replicas)),
            ):
                inv(edited.folder, "scale", "--replicas=1")
                settle()
                getattr(rows[key], side).append(timed(scaling))


def write(rows: list[Row]) -> None:
    """Write the figures to the page, and print them."""
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    memory = int(re.findall(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[0]) / 2**20
    machine = f"{os.cpu_count()} cores ({cpu.partition(':')[2].strip()}), {memory:.0f} GiB, Linux {platform.release()}"
    lines = [
        f"{machine}, Python {platform.python_version()}, Docker {client.connect().version()}.",
        "Median and, in brackets, 90th percentile of n rounds.",
        "",
        "| what | n | ours, s | compared with, s | ratio | |",
        "|---|---:|---:|---:|---:|:---|",
        *(f"| {' | '.join(row.cells())} |" for row in rows),
    ]
    figures.write("shell", lines)
    print("\n".join(lines))


def main() -> None:
    handle_signals()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        os.environ |= {"INVOKE_CLUSTER_NAME": NAME, "INVOKE_CLUSTER_PORT": "18090"}
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # it would compile the tasks at each start, but not installed packages
        found = settings.read(tasks.PROJECT, settings.DEFAULTS)
        base = requirements.BASE_IMAGE.find(client.connect(), found).reference
        node = requirements.KIND_NODE_IMAGE.find(client.connect(), found).reference
        watched, edited = Copy(folder, "watched"), Copy(folder, "edited")
        shell = Shell(edited, requirements.KIND.find(None, found).reference, base, node)
        rows: list[Row] = []
        try:
            rows.append(cold(shell, edited, folder, rounds))
            inv(edited.folder, "up")
            os.environ["KUBECONFIG"] = inv(edited.folder, "kubeconfig").strip()
            warm(shell, watched, edited, rounds, rows)
        finally:  # keep what was measured so far
            write([row for row in rows if len(row.ours) > 1 and len(row.theirs) > 1])
            inv(edited.folder, "clean", "--all")


if __name__ == "__main__":
    main()
