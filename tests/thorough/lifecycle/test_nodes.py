"""A cluster of three nodes: pods on each of them, which reach each other, and no request lost while a node goes."""

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
SECONDS = 120  # limit for a drain and what follows it
MORE = 500  # requests that are answered after the node's end
# what a container runtime that is killed leaves on cgroup v1
FREEZE = """\
cd /sys/fs/cgroup/freezer 2>/dev/null || exit 0
mkdir frozen
sleep 1000 &
echo $! > frozen/cgroup.procs
echo FROZEN > frozen/freezer.state
"""
# a claim for each pod, with which it goes
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
    """The node of each pod, "" if it has none yet."""
    return {pod["metadata"]["name"]: pod["spec"].get("nodeName", "") for pod in tasks.get("pods")["items"]}


def announcer(tasks: Tasks) -> str:
    """The node that answers for the load balancer's address, as MetalLB's last event says."""
    events = tasks.get("events", "--field-selector=reason=nodeAssigned", "--sort-by=.lastTimestamp")["items"]
    named = re.search(r'from node "([^"]+)"', events[-1]["message"])
    assert named, events[-1]
    return named[1]


def folders(node: str) -> list[str]:
    """The volumes that have a folder on the node; kind's own provisioner adds the claim to the name."""
    return [name.partition("_")[0] for name in docker("exec", node, "ls", "/var/local-path-provisioner").split()]


def ask_from(tasks: Tasks, pod: str, address: str) -> str:
    """The name of the pod that answers a pod's own request to an address of the pod network."""
    answer = tasks.kubectl("exec", pod, "--", "python3", "-c", ASK, f"http://{address}:8080/healthz")
    return str(json.loads(answer)["pod"])


@eventually.eventually(SECONDS)
def moved(tasks: Tasks, node: str) -> None:
    """No pod is on the node any more, and three are elsewhere."""
    found = places(tasks)
    assert len(found) == 3
    assert node not in found.values()


@eventually.eventually(SECONDS)
def placed(tasks: Tasks, node: str) -> None:
    """A pod is on the node: the control plane takes the taint away some time after `uncordon`."""
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

    # who stops the node that announces the address waits some seconds for another one to do it
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
        tasks.kubectl("cordon", *others)  # the spread over nodes is a preference
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
