"""How kind is asked for a cluster: its configuration and its command line, and the same for a person to type."""

import socket
from dataclasses import dataclass
from pathlib import Path

from kubetasks import shell
from kubetasks.engine import LABELS
from kubetasks.errors import ClusterError
from kubetasks.settings import CLUSTER_LABEL

NODE_PORT = 30080  # of the node, mapped to 127.0.0.1 when the cluster is made; a service asks for it
NETWORK_VARIABLE = "KIND_EXPERIMENTAL_DOCKER_NETWORK"
PORTS_TRIED = 100

# The one node's managers need no election: a cluster that is started again would wait for the lease of the stopped ones.
# kind applies the form that fits: v1beta3 before Kubernetes 1.36.
# kube-proxy writes its rules at once, where kind lets it gather changes for a second.
CONFIG = """\
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
class Recipe:
    """How kind is asked for a cluster: its own network must exist first, and be named in `environment`."""

    name: str
    image: str
    port: int
    config_file: Path
    kubeconfig: Path
    environment: dict[str, str]

    @property
    def config(self) -> str:
        """kind's configuration file."""
        return CONFIG.format(node_port=NODE_PORT, port=self.port)

    def argv(self, kind: str, config: str) -> list[str]:
        """The command line."""
        return [
            *(kind, "create", "cluster", "--name", self.name, "--image", self.image),
            *("--config", config, "--kubeconfig", str(self.kubeconfig)),
        ]


def free_port(wanted: int) -> int:
    """`wanted`, or the next port of 127.0.0.1 that nobody listens on. Raises ClusterError after PORTS_TRIED."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ClusterError(f"No port from {wanted} on is free on 127.0.0.1.", "INVOKE_CLUSTER_PORT=NUMBER ./inv start")


def mirror_create(recipe: Recipe) -> tuple[str, ...]:
    """The commands that make the same cluster by hand; kind reads its configuration from a here-document."""
    labels = {**LABELS, CLUSTER_LABEL: recipe.name}
    options = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    create = shell.line(recipe.argv("kind", "-"), recipe.environment)
    return (
        shell.line(["docker", "network", "create", *options, recipe.name]),
        f"{create} <<'EOF'\n{recipe.config}EOF",
    )


def mirror_start(name: str) -> str:
    """The command that starts a stopped cluster by hand."""
    return shell.line(["docker", "start", f"{name}-control-plane"])
