"""How kind is asked for a cluster: its configuration file, its name, its ports."""

import socket
from dataclasses import dataclass

from kubetasks.errors import ClusterError

NODE_PORT = 30080  # mapped to 127.0.0.1 when the cluster is created; the first service asks for it
API_PORT = 6443  # of the API server, in the node
PORTS_TRIED = 100

# One node's managers need no leader election: a cluster that starts again would wait for the lease of the stopped ones.
# kind uses the form that fits: v1beta3 before Kubernetes 1.36.
# minSyncPeriod: kind lets kube-proxy gather changes for a second; ours writes its rules at once.
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
kubeadmConfigPatches:
  - |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: ClusterConfiguration
    controllerManager:
      extraArgs:
        - name: leader-elect
          value: "false"
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
    scheduler:
      extraArgs:
        leader-elect: "false"
  - |
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    iptables:
      minSyncPeriod: 0s
"""


@dataclass(frozen=True)
class Config:
    """A cluster to create: `port` is that of 127.0.0.1, `image` the node image."""

    name: str
    image: str
    port: int
    kubeconfig: str

    @property
    def nodes(self) -> list[str]:
        """The names that kind gives the nodes' containers."""
        return [f"{self.name}-control-plane"]

    @property
    def text(self) -> str:
        """kind's configuration file."""
        return TEMPLATE.format(node_port=NODE_PORT, port=self.port)


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
    raise ClusterError(f"No port from {wanted} on is free on 127.0.0.1.", "INVOKE_CLUSTER_PORT=NUMBER ./inv start")
