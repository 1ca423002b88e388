"""What only minikube has: a tunnel, keys to the cluster, and a kubelet that only minikube starts again."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kubetasks.engine import client
from kubetasks.providers.minikube.config import PROFILE_LABEL
from kubetasks.setup import requirements
from kubetasks.terminal.interruption import EXIT_CODE as INTERRUPTED
from tasks import PROJECT
from tests.support import answers
from tests.support.answers import REQUESTS
from tests.support.driver import Tasks, docker
from tests.support.eventually import until
from tests.support.processes import begun, ended, paste
from tests.support.snapshot import Snapshot

pytestmark = [pytest.mark.providers("minikube"), pytest.mark.exhaustive]


BY_HAND = """\
eval "$(python -m kubetasks docker-env)"
docker build --quiet --build-arg BASE={base} --tag simple-server:v1 .
"""
TUTORIAL = """\
eval "$(python -m kubetasks docker-env)"
docker build --quiet --build-arg BASE={base} --tag simple-server:by-hand .
python -m kubetasks build deploy expose scale traffic
eval "$(python -m kubetasks docker-env --unset)"
test -z "${{DOCKER_HOST:-}}${{DOCKER_CERT_PATH:-}}${{MINIKUBE_ACTIVE_DOCKERD:-}}"
"""


@pytest.fixture
def sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sudo that runs the given command, for root on a machine that has none."""
    if os.geteuid() == 0 and not shutil.which("sudo"):
        program = tmp_path / "sudo"
        program.write_text('#!/bin/sh\n[ "$1" = --validate ] || exec "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


def minikubes(cluster: str) -> list[str]:
    """Return the command lines of the minikube processes that use the cluster."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # the process has just ended
            line = path.read_bytes().split(b"\0")
            if line[0].endswith(b"minikube") and cluster.encode() in line:
                found.append(str(line))
    return found


@pytest.mark.promise("`minikube tunnel`")
@pytest.mark.usefixtures("sudo", "mapped_port")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_tunnel_gives_the_load_balancers_address_until_it_is_closed(app: Tasks, number: signal.Signals) -> None:
    app("build", "deploy", "expose", "scale")
    with begun(app, "tunnel") as process:
        until(lambda: (url := app.printed().get("load balancer")) is not None and answers.health(url) is not None)
        answered = answers.spread(app.printed()["load balancer"], REQUESTS)
        assert (set(answered.requests), answered.failed) == (app.pods(), 0)
        assert set(app.printed()) == {"load balancer", "node port"}
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # the whole group, as a terminal does
        else:
            process.send_signal(number)
        output = ended(process, 60)
    assert (process.returncode, output.splitlines()[-1]) == (0, "The tunnel is closed."), output
    assert "\t0000600A\t" not in Path("/proc/net/route").read_text(), "no route to 10.96.0.0 is left"
    assert minikubes(app.cluster) == []
    assert set(app.printed()) == {"node port"}


@pytest.mark.promise(
    "With `INVOKE_CLUSTER_PROVIDER=minikube`", "`eval $(minikube docker-env)`", "`eval $(minikube docker-env -u)`"
)
@pytest.mark.usefixtures("alone")
def test_a_node_that_runs_docker_builds_as_in_the_tutorial(throwaway: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_CLUSTER_RUNTIME", "docker")
    throwaway("up")
    theirs = f"--filter=label=name.minikube.sigs.k8s.io={throwaway.cluster}"
    assert docker("ps", theirs, "--format={{.Names}}").split() == throwaway.nodes(), "minikube created it"
    assert len(throwaway.json("traffic")["pods"]) == 3, "without docker-env it is loaded"
    throwaway("clean")
    assert throwaway("docker-env", "--unset").stdout.startswith("unset ")
    base = requirements.BASE_IMAGE.find(client.connect(), throwaway.settings).reference
    for name, value in throwaway.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    paste(BY_HAND.format(base=base))
    throwaway.kubectl("apply", f"--filename={PROJECT.folder / 'k8s' / 'deployment.yaml'}")
    throwaway.kubectl("rollout", "status", "deployment/simple-server", "--timeout=60s")
    throwaway.kubectl("delete", "deployment", "simple-server", "--cascade=foreground")
    docker("exec", throwaway.cluster, "docker", "rmi", f"{PROJECT.application.name}:v1")
    paste(TUTORIAL.format(base=base))
    assert client.connect().image_tags(PROJECT.application.name) == [], "everything was built in the node"
    assert "by-hand" in docker("exec", throwaway.cluster, "docker", "images", PROJECT.application.name)
    assert len(throwaway.json("traffic")["pods"]) == 3
    throwaway("undeploy", "rmi")
    assert docker("exec", throwaway.cluster, "docker", "images", "--quiet", f"{PROJECT.application.name}:v1") == ""


def test_a_restart_behind_our_back_a_pasted_stop_and_lost_keys(throwaway: Tasks, tmp_path: Path) -> None:
    throwaway("build", "deploy", "expose", "scale")
    url = throwaway("service").stdout
    pods = throwaway.pods()
    docker("restart", throwaway.cluster)
    assert throwaway.json("status")["state"] == "stopped", "nobody has started the kubelet"
    throwaway("deploy", "traffic")
    assert throwaway("service").stdout == url
    assert throwaway.pods() == pods

    throwaway.kubeconfig.write_text(throwaway.kubeconfig.read_text()[:400])
    assert len(throwaway.json("status")["pods"]) == len(pods), "a damaged kubeconfig is written anew"

    paste(throwaway("--dry", "stop").stdout)
    assert throwaway.json("status")["state"] == "stopped"
    paste(throwaway("--dry", "start").stdout)
    throwaway("scale", "traffic")  # waits for the pods, unlike minikube's own command

    throwaway.kubeconfig.parent.rename(tmp_path / "gone")  # as if the clone that created the cluster were gone
    assert "The keys to cluster" in throwaway("status", code=4).stderr
    throwaway("delete")
    assert docker("ps", "--all", "--quiet", f"--filter=label={PROFILE_LABEL}={throwaway.cluster}") == ""


@pytest.mark.parametrize(("number", "phase"), [(signal.SIGINT, "container"), (signal.SIGTERM, "kubelet")])
def test_an_interrupted_start_cleans_up(
    snapshot_of: Callable[[], Snapshot], throwaway: Tasks, home: Path, number: signal.Signals, phase: str
) -> None:
    (home / ".kube" / "config").unlink()  # start must not create one either
    before = snapshot_of()
    with begun(throwaway, "start") as process:
        until(lambda: reached(throwaway.cluster, phase))
        os.killpg(process.pid, number)
        output = ended(process, 90)
    assert process.returncode == INTERRUPTED
    assert "Traceback" not in output
    assert snapshot_of() ^ before == set()


def reached(cluster: str, phase: str) -> bool:
    """Return whether `start` has reached the phase: the container runs or, for "kubelet", kubeadm runs in it."""
    node = client.connect().container(cluster)
    if node is None or node.status != "running":
        return False
    shown = subprocess.run(
        ["docker", "top", cluster], capture_output=True, text=True, check=False
    )  # fails if a process just ended
    return phase == "container" or "kubeadm" in shown.stdout
