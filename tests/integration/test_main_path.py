"""The whole path on a real cluster: up, out, three pods, and all of it away again."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_kind import KindCluster

from kubetasks.kube import endpoints
from kubetasks.settings import PROJECT
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
    assert snapshot() == before
    assert kube_config() == config_before


def test_the_echoed_commands_do_the_same_when_they_are_pasted(snapshot: Callable[[], Snapshot], throwaway: Throwaway) -> None:
    before = snapshot()
    script = throwaway.run("--dry", "up").stdout
    assert snapshot() == before, "--dry changes nothing"

    pasted = subprocess.run(["bash", "-eu"], input=script, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert pasted.returncode == 0, f"{script}\n{pasted.stdout}{pasted.stderr}"

    status = json.loads(throwaway.run("status", "--json").stdout)
    assert (status["deployment"]["ready"], status["deployment"]["replicas"]) == (PODS, PODS)
    throwaway.run("scale")  # waits for traffic
    assert len(traffic(throwaway)["pods"]) == PODS
    throwaway.run("clean", "--all")
    assert snapshot() == before


def test_what_others_made_is_refused_and_left_alone(throwaway: Throwaway, cluster: KindCluster) -> None:
    throwaway.run("build", "start")
    cluster.kubectl("create", "deployment", "simple-server", "--image=theirs:1")
    uid = cluster.kubectl("get", "deployment", "simple-server", "-o", "jsonpath={.metadata.uid}{.metadata.generation}")
    for task in ("deploy", "scale", "undeploy", "clean"):
        ended = throwaway.run(task, ok=False)
        assert (ended.returncode, "was not made by these tasks" in ended.stderr) == (8, True), (task, ended.stderr)
    assert uid == cluster.kubectl("get", "deployment", "simple-server", "-o", "jsonpath={.metadata.uid}{.metadata.generation}")

    ended = throwaway.run("service", ok=False)
    assert (ended.returncode, ended.stderr.splitlines()[1].strip()) == (7, "./inv expose")

    throwaway.run("stop")
    ended = throwaway.run("scale", ok=False)
    assert (ended.returncode, ended.stderr.splitlines()) == (
        4,
        [f"Cluster {throwaway.name} is stopped.", "  ./inv start"],
    )
