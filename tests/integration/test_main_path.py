"""The whole path on a real cluster: up, out, three pods, and all of it away again."""

import json
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_kind import KindCluster

from kubetasks import engine, settings
from kubetasks.errors import ImageError
from kubetasks.kube import endpoints
from kubetasks.settings import PROJECT
from kubetasks.setup import images
from tests.integration.conftest import Snapshot, Throwaway

PODS = 3
REQUESTS = endpoints.enough(PODS)

RESTRICTED = """\
apiVersion: v1
kind: Namespace
metadata:
  name: restricted
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
"""


def traffic(throwaway: Throwaway) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(throwaway.run("traffic", f"--requests={REQUESTS}", "--json").stdout)
    return document


def kube_config() -> bytes | None:
    path = Path.home() / ".kube" / "config"
    return path.read_bytes() if path.exists() else None


def test_the_main_path_on_a_cluster_made_by_pytest_kind(
    snapshot: Callable[[], Snapshot], throwaway: Throwaway, request: pytest.FixtureRequest
) -> None:
    before, config_before = snapshot(), kube_config()
    cluster: KindCluster = request.getfixturevalue("cluster")

    throwaway.run("build", "deploy", "expose", "scale")

    seen = traffic(throwaway)
    assert seen["failed"] == 0
    assert len(seen["pods"]) == PODS, "three pods answer over fresh connections"
    assert sum(pod["count"] for pod in seen["pods"]) == REQUESTS, "their counts add up to the requests sent"
    assert sum(pod["requests"] for pod in seen["pods"]) == REQUESTS

    status = json.loads(throwaway.run("status", "--json").stdout)
    image = status["deployment"]["image"]
    build_id = subprocess.check_output(
        ["docker", "image", "inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", image], text=True
    )
    assert {pod["build"] for pod in seen["pods"]} == {image.split(":")[1]}
    assert f"BUILD_ID={image.split(':')[1]}" in build_id, "the server reports the build id of the image that was built"

    ways = {end["way"]: end["url"] for end in status["endpoints"]}
    for way in ("mapped port", "load balancer"):
        assert endpoints.ask(ways[way], endpoints.HEALTH), f"the {way} answers from here"
    assert throwaway.run("service").stdout == ways["mapped port"] + "\n"

    generation = json.loads(cluster.kubectl("get", "deployment", "simple-server", "-o", "json"))["metadata"]["generation"]
    throwaway.run("build", "deploy", "expose", "scale")
    again = json.loads(cluster.kubectl("get", "deployment", "simple-server", "-o", "json"))
    assert again["metadata"]["generation"] == generation, "a second time changes nothing"
    assert traffic(throwaway)["pods"][0]["count"] > seen["pods"][0]["count"], "and restarts no pod"

    throwaway.kubectl("apply", "-f", "-", stdin=RESTRICTED)
    applied = throwaway.kubectl("apply", "--namespace=restricted", "-f", str(PROJECT / "k8s"))
    assert applied.stderr == "", "the plain manifests pass the restricted level without a warning"

    throwaway.run("clean")
    assert cluster.kubectl("get", "deployments,services,pods", "--selector=app.kubernetes.io/name=simple-server") == ""
    throwaway.run("clean", "--all")
    throwaway.run("clean", "--all")  # on nothing
    assert snapshot().since(before) == {}
    assert kube_config() == config_before


def test_up_from_nothing_and_there_again_after_a_stop(snapshot: Callable[[], Snapshot], throwaway: Throwaway) -> None:
    before = snapshot()
    with socket.create_server(("127.0.0.1", throwaway.settings.port)):
        made = throwaway.run("up")
    assert f"Port {throwaway.settings.port} of 127.0.0.1 is taken" in made.stderr
    url = made.stdout.strip()
    assert endpoints.ask(url, endpoints.HEALTH)

    again = throwaway.run("up")
    assert again.stdout == made.stdout
    assert f"Cluster {throwaway.name} is running." in again.stderr
    assert "is built already" in again.stderr

    throwaway.run("stop")
    refused = throwaway.run("scale", ok=False)
    assert refused.returncode == 4
    assert refused.stderr.splitlines() == [f"Cluster {throwaway.name} is stopped.", "  ./inv start"]
    throwaway.run("start")
    assert len(traffic(throwaway)["pods"]) == PODS
    throwaway.run("scale", "--replicas=0")
    assert endpoints.ask(url, endpoints.HEALTH) is None
    throwaway.run("clean", "--all")
    assert snapshot().since(before) == {}


def test_the_mirrored_commands_do_the_same_when_they_are_pasted(snapshot: Callable[[], Snapshot], throwaway: Throwaway) -> None:
    before = snapshot()
    script = throwaway.run("--dry", "up").stdout
    assert snapshot().since(before) == {}, "--dry changes nothing"
    paste(script)

    status = json.loads(throwaway.run("status", "--json").stdout)
    assert (status["deployment"]["ready"], status["deployment"]["replicas"]) == (PODS, PODS)
    exposed = throwaway.run("--echo", "expose", "scale", "unexpose", "undeploy")
    assert "load balancer" in exposed.stderr, "the pasted address pool gave an address"
    for lines in (throwaway.run("--echo", "deploy", "expose", "scale", "--replicas=1").stdout, exposed.stdout):
        paste(lines)
    assert json.loads(throwaway.run("status", "--json").stdout)["deployment"] is None
    throwaway.run("clean", "--all")
    assert snapshot().since(before) == {}


def paste(script: str) -> None:
    """Run lines that were printed, as a person would: in a shell, one after the other."""
    pasted = subprocess.run(["bash", "-eu"], input=script, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert pasted.returncode == 0, f"{script}\n{pasted.stdout}{pasted.stderr}"


def test_what_others_made_is_refused_and_left_alone(throwaway: Throwaway, cluster: KindCluster) -> None:
    unbuilt = throwaway.run("deploy", ok=False)
    assert (unbuilt.returncode, unbuilt.stderr.splitlines()[-1]) == (5, "  ./inv build")

    throwaway.run("build", "start")
    cluster.kubectl("create", "deployment", "simple-server", "--image=theirs:1")
    identity = ("get", "deployment", "simple-server", "-o", "jsonpath={.metadata.uid}{.metadata.generation}")
    theirs = cluster.kubectl(*identity)
    for task in ("deploy", "scale", "undeploy", "clean"):
        ended = throwaway.run(task, ok=False)
        assert ended.returncode == 8, (task, ended.stderr)
        assert "was not made by these tasks" in ended.stderr
    assert cluster.kubectl(*identity) == theirs

    ended = throwaway.run("service", ok=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (7, "  ./inv expose")


def test_a_build_that_fails_shows_the_end_of_its_output_and_leaves_no_image(tmp_path: Path) -> None:
    connection = engine.connect()
    base, _ = images.base_image(connection, settings.read(settings.DEFAULTS))
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nRUN echo it cannot work && exit 7\n")
    with pytest.raises(ImageError, match="it cannot work"):
        connection.build(tmp_path, ["test-broken:1"], {}, lambda _line: None)
    assert connection.image_id("test-broken:1") is None


def test_the_server_ends_cleanly_as_process_1_of_its_container(throwaway: Throwaway) -> None:
    throwaway.run("build")
    command = ["docker", "run", "--detach", "--read-only", "--network=none", "--name", throwaway.name, "simple-server:v1"]
    subprocess.run(command, check=True, capture_output=True)
    try:
        with subprocess.Popen(["docker", "logs", "--follow", throwaway.name], stdout=subprocess.PIPE, text=True) as logs:
            assert logs.stdout
            assert logs.stdout.readline().startswith("serving on"), "before that nobody listens to signals"
            logs.terminate()
        subprocess.run(["docker", "stop", throwaway.name], check=True, capture_output=True)
        code = subprocess.check_output(["docker", "inspect", "--format={{.State.ExitCode}}", throwaway.name], text=True)
        assert code == "0\n", "137 would be the engine's SIGKILL"
        in_use = throwaway.run("clean", ok=False)
        assert (in_use.returncode, in_use.stderr.splitlines()[-1]) == (10, f"  docker rm --force {throwaway.name}")
    finally:
        subprocess.run(["docker", "rm", "--force", throwaway.name], check=True, capture_output=True)


def test_a_second_setup_finds_everything_there(throwaway: Throwaway) -> None:
    assert throwaway.run("setup").stderr == "Everything is there: nothing to be done.\n"
    document = json.loads(throwaway.run("doctor", "--json").stdout)
    assert all(item["present"] for item in document["items"])
