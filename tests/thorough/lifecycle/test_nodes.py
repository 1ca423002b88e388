"""A cluster of three nodes: each has a pod, the pods reach each other, and no request is lost while a node goes away."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import eventually, source
from tests.support.driver import Tasks, docker
from tests.support.eventually import until
from tests.support.load import load

NODES = 3
SECONDS = 120  # timeout for a drain and what follows it
MORE = 500  # requests that must be answered after the node has stopped
# what a killed container runtime may leave on cgroup v1
FREEZE = """\
cd /sys/fs/cgroup/freezer 2>/dev/null || exit 0
mkdir frozen
sleep 1000 &
echo $! > frozen/cgroup.procs
echo FROZEN > frozen/freezer.state
"""
# each pod has a claim, which is deleted with it
CLAIMS = """\
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: claims}
spec:
  selector: {matchLabels: {app: claims}}
  template:
    metadata: {labels: {app: claims}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - {name: main, image: IMAGE, imagePullPolicy: Never, volumeMounts: [{name: data, mountPath: /data}]}
      volumes:
        - name: data
          ephemeral:
            volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}
"""
ASK = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())"


@pytest.fixture
def three_nodes(throwaway: Tasks, monkeypatch: pytest.MonkeyPatch) -> Tasks:
    monkeypatch.setenv("INVOKE_CLUSTER_NODES", str(NODES))
    throwaway("start", "build", "deploy", "expose", "scale")
    return throwaway


def places(tasks: Tasks) -> dict[str, str]:
    """Return the node of each pod, "" if it is not scheduled yet."""
    return {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in tasks.get("pods")["items"]}


def announcer(tasks: Tasks) -> str:
    """Return the node that announces the load balancer's address, according to MetalLB's last event."""
    events = tasks.get("events", "--field-selector=reason=nodeAssigned", "--sort-by=.lastTimestamp")["items"]
    named = re.search(r'from node "([^"]+)"', events[-1]["message"])
    assert named, events[-1]
    return named[1]


def folders(node: str) -> list[str]:
    """Return the volumes that have a folder on the node; kind's own provisioner appends the claim to the folder's name."""
    return [name.partition("_")[0] for name in docker("exec", node, "ls", "/var/local-path-provisioner").split()]


def ask_from(tasks: Tasks, pod: str, address: str) -> str:
    """Send a request from a pod to an address of the pod network, and return the name of the pod that answers."""
    answer = tasks.kubectl("exec", pod, "--", "python3", "-c", ASK, f"http://{address}:8080/healthz")
    return str(json.loads(answer)["pod"])


@eventually.eventually(SECONDS)
def moved(tasks: Tasks, node: str) -> None:
    """Wait until there are three pods, none of them on the node."""
    found = places(tasks)
    assert len(found) == 3
    assert node not in found.values()


@eventually.eventually(SECONDS)
def placed(tasks: Tasks, node: str) -> None:
    """Wait until a pod is on the node: the control plane removes the taint some time after `uncordon`."""
    assert node in places(tasks).values()


@pytest.mark.promise("To roll out one change without `dev`")
@pytest.mark.long
@pytest.mark.parametrize("started_again", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_three_pods_on_three_nodes_and_no_request_lost_when_a_node_is_drained_and_stopped(
    three_nodes: Tasks,
    tmp_path: Path,
    subtests: pytest.Subtests,
    record_property: Callable[[str, object], None],
    started_again: bool,
) -> None:
    tasks = three_nodes
    nodes = set(tasks.nodes())
    assert nodes == {f"{tasks.cluster}-{role}" for role in ("control-plane", "worker", "worker2")}
    where = places(tasks)
    urls = list(tasks.addresses().values())
    assert len(urls) == 2, "the mapped port and the load balancer's address"

    with subtests.test("a pod is on each node, and each reaches each"):
        assert set(where.values()) == nodes
        addresses = {pod["metadata"]["name"]: pod["status"]["podIP"] for pod in tasks.get("pods")["items"]}
        reached = {(pod, ask_from(tasks, pod, address)) for pod in where for address in addresses.values()}
        assert reached == {(pod, other) for pod in where for other in where}

    with subtests.test("all of them answer at each address"):
        for url in urls:
            eventually.answer(url, set(where))
        assert {one["pod"]: one["node"] for one in tasks.json("traffic")["pods"]} == where

    with subtests.test("each pod's claim gets a folder of its own node, which goes with the claim"):
        (image,) = {pod["spec"]["containers"][0]["image"] for pod in tasks.get("pods")["items"]}
        tasks.kubectl("apply", "--filename=-", stdin=CLAIMS.replace("IMAGE", image))
        tasks.kubectl("rollout", "status", "daemonset/claims", f"--timeout={SECONDS}s")
        volumes = {claim["spec"]["volumeName"] for claim in tasks.get("persistentvolumeclaims")["items"]}
        assert sorted(folder for node in nodes for folder in folders(node)) == sorted(volumes)
        assert [len(folders(node)) for node in nodes] == [1] * NODES
        tasks.kubectl("delete", "daemonset/claims")
        until(lambda: not any(map(folders, nodes)))

    with subtests.test("a changed image reaches each node through the registry"):
        edited = tasks.typed("build", "deploy", folder=source.changed(tmp_path)).stderr
        assert "through the registry" in edited
        (build,) = {one["build"] for one in tasks.json("traffic")["pods"]}
        assert build in edited
        for node in nodes:
            assert f"simple-server:{build}" in docker("exec", node, "ctr", "--namespace=k8s.io", "images", "ls", "--quiet")

    # if the node that announces the address stops, it takes some seconds until another one does
    gone = next(node for node in sorted(nodes) if "worker" in node and node != announcer(tasks))
    with subtests.test("no request is lost when a node is drained and stopped"):
        announcers = tasks.kubectl("get", "daemonset", "speaker", "--namespace=metallb-system", "--output=jsonpath={..args}")
        assert "--ignore-exclude-lb" in announcers, "the control plane announces too, if the workers are gone"
        with load(urls) as sent:
            tasks.kubectl("drain", gone, "--ignore-daemonsets", "--delete-emptydir-data")
            moved(tasks, gone)
            docker("stop", gone)
            sent.at_least(sent.answered + MORE)
        record_property("requests", sent.answered)
        assert sent.reasons == []
        assert tasks.json("status")["state"] == "stopped", "a cluster runs if all its nodes do"

    if not started_again:
        return
    with subtests.test("the node serves again once it is started"):
        tasks("start")
        tasks.kubectl("uncordon", gone)
        others = sorted(nodes - {gone})
        tasks.kubectl("cordon", *others)  # the spread over nodes is only a preference
        tasks.kubectl("scale", "deployment/simple-server", "--replicas=4")
        placed(tasks, gone)
        tasks.kubectl("uncordon", *others)
        tasks("scale", "--replicas=4")
        tasks("stop", "start")
        eventually.answer(tasks.url(), set(places(tasks)))

    with subtests.test("a node that is gone is missed, and a frozen one is deleted all the same"):
        docker("exec", gone, "sh", "-c", FREEZE)  # the fixture deletes this node
        docker("rm", "--force", "--volumes", f"{tasks.cluster}-control-plane")
        assert tasks.json("status")["state"] == "incomplete"
