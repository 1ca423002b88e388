"""How kind is asked for a cluster: its configuration file, its name, its ports."""

import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from kubetasks.errors import ClusterError
from kubetasks.project.words import INV, INVOKE
from kubetasks.providers.own import CONTROLLERS_RATE
from kubetasks.providers.registry import registry_of

NODE_PORT = 30080  # mapped to 127.0.0.1 when the cluster is created; the first service asks for it
API_PORT = 6443  # the API server's, in the node
PORTS_TRIED = 100
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")

# The managers of one control plane need no leader election: a cluster that starts again would wait for the stopped ones' lease.
# kind uses the form that fits: v1beta3 before Kubernetes 1.36.
# failCgroupV1: from 1.35 on the kubelet refuses a machine with cgroup v1, such as Debian 12 without systemd.
# minSyncPeriod: kube-proxy gathers changes for a second, also if it is told 0; ours writes its rules at once.
TEMPLATE = """\
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
  - role: control-plane
    extraPortMappings:
      - containerPort: {node_port}
        hostPort: {port}
        listenAddress: 127.0.0.1
        protocol: TCP
{workers}kubeadmConfigPatches:
  - |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: ClusterConfiguration
    controllerManager:
      extraArgs:
        - name: leader-elect
          value: "false"
        - name: kube-api-qps
          value: "{rate}"
        - name: kube-api-burst
          value: "{rate}"
    scheduler:
      extraArgs:
        - name: leader-elect
          value: "false"
  - |
    apiVersion: kubeadm.k8s.io/v1beta3
    kind: ClusterConfiguration
    controllerManager:
      extraArgs:
        leader-elect: "false"
        kube-api-qps: "{rate}"
        kube-api-burst: "{rate}"
    scheduler:
      extraArgs:
        leader-elect: "false"
  - |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: InitConfiguration
    timeouts: {timeouts}
  - |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: JoinConfiguration
    timeouts: {timeouts}
  - |
    apiVersion: kubelet.config.k8s.io/v1beta1
    kind: KubeletConfiguration
    failCgroupV1: false
  - |
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    iptables:
      minSyncPeriod: 1ms
"""
WORKER = "  - role: worker\n"
# kind removes the taint of the control plane only from a cluster of one node
NO_TAINT = """\
  - |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: InitConfiguration
    nodeRegistration:
      taints: []
  - |
    apiVersion: kubeadm.k8s.io/v1beta3
    kind: InitConfiguration
    nodeRegistration:
      taints: []
"""


@dataclass(frozen=True)
class Config:
    """A cluster to create: `port` is that of 127.0.0.1, `image` the node image, `size` the number of nodes.

    kubeadm waits `timeout` seconds for each thing, at least as long as by itself: on a slow machine it must not give up first.
    """

    name: str
    image: str
    port: int
    kubeconfig: str
    size: int
    timeout: float

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes' containers."""
        workers = [f"{self.name}-worker{number if number > 1 else ''}" for number in range(1, self.size)]
        return [control_plane(self.name), *workers]

    @property
    def text(self) -> str:
        """kind's configuration file."""
        workers = self.size - 1
        own = {"controlPlaneComponentHealthCheck": 240, "kubeletHealthCheck": 240, "kubernetesAPICall": 60}
        own |= {"etcdAPICall": 120, "tlsBootstrap": 300, "discovery": 300}
        timeouts = json.dumps({name: f"{max(seconds, self.timeout):.0f}s" for name, seconds in own.items()})
        facts = {"node_port": NODE_PORT, "port": self.port, "rate": CONTROLLERS_RATE, "timeouts": timeouts}
        text = TEMPLATE.format(workers=WORKER * workers, **facts)
        return text + (NO_TAINT if workers else "")

    def words(self) -> list[str]:
        """The words after the program's name; the configuration comes on standard input."""
        words = ["--name", self.name, "--image", self.image, "--config", "-", "--kubeconfig", self.kubeconfig]
        return ["create", "cluster", *words]

    def environment(self, given: Mapping[str, str] = os.environ) -> dict[str, str]:
        """What makes kind use the cluster's own network, and nodes ask its registry and not the proxy, if there is one."""
        own = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": self.name}
        if any(given.get(name) for name in PROXIES):  # kind gives them to the nodes
            direct = given.get("NO_PROXY") or given.get("no_proxy") or ""
            own["NO_PROXY"] = ",".join(filter(None, (direct, registry_of(self.name))))
        return own


def kubernetes_of(image: str) -> str:
    """The Kubernetes minor in a node image's tag, as in kindest/node:v1.36.4; "" if there is none."""
    tag = re.search(r":v(\d+\.\d+)\.", image)
    return tag[1] if tag else ""


def control_plane(cluster: str) -> str:
    """The name of the node that runs the API server and maps the ports."""
    return f"{cluster}-control-plane"


def free_port(wanted: int) -> int:
    """Return `wanted`, or the next port of 127.0.0.1 that nobody listens on. Raises ClusterError after PORTS_TRIED."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ClusterError(f"No port from {wanted} on is free on 127.0.0.1.", f"{INVOKE}_CLUSTER_PORT=NUMBER {INV} start")
