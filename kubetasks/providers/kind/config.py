"""How kind is asked for a cluster: its configuration file, its name, its ports."""

import os
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubetasks.errors import ClusterError, SettingError
from kubetasks.project import files
from kubetasks.project.words import DOCS, INV, INVOKE
from kubetasks.providers.own import CONTROLLERS_RATE
from kubetasks.providers.registry import registry_of

NODE_PORT = 30080  # mapped to 127.0.0.1 when the cluster is created; the first service asks for it
API_PORT = 6443  # the API server's, in the node
PORTS_TRIED = 100
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")

HEADER = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4"}
# this machine alone reaches the API server; the cluster's Docker network is of IPv4, and nodes are ready once they have a network
NETWORKING = {"apiServerAddress": "127.0.0.1", "ipFamily": "ipv4", "disableDefaultCNI": False}
CONTROL_PLANE = "control-plane"


@dataclass(frozen=True)
class Config:
    """A cluster to create: `port` is that of 127.0.0.1, `image` the node image, `size` the number of nodes.

    kubeadm waits `timeout` seconds for each thing, at least as long as by itself: on a slow machine it must not give up first.
    `theirs` is kind's configuration as a person wrote it in `file`.
    """

    name: str
    image: str
    port: int
    kubeconfig: str
    size: int
    timeout: float
    theirs: Mapping[str, Any] = field(default_factory=dict)
    file: Path | None = None

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes' containers."""
        workers = [f"{self.name}-worker{number if number > 1 else ''}" for number in range(1, self.size)]
        return [control_plane(self.name), *workers]

    @property
    def text(self) -> str:
        """kind's configuration file: theirs, with ours in it. Raises SettingError if they contradict each other."""
        import yaml

        class Dumper(yaml.SafeDumper):
            pass

        def block(dumper: Any, text: str) -> Any:
            return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

        Dumper.add_representer(str, block)
        try:
            ours = [yaml.safe_dump(patch, sort_keys=False) for patch in self._patches()]
            patches = [*ours, *(self.theirs.get("kubeadmConfigPatches") or [])]  # the later one counts
            merged = {**HEADER, **self.theirs, "nodes": self._nodes(), "kubeadmConfigPatches": patches}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise _misread(self.file) from error
        return str(yaml.dump(merged, Dumper=Dumper, sort_keys=False))

    def _nodes(self) -> list[dict[str, Any]]:
        """The nodes, the control plane with the mapped port."""
        nodes = [dict(node) for node in self.theirs.get("nodes") or []]
        nodes = nodes or [{"role": CONTROL_PLANE}, *({"role": "worker"} for _ in range(1, self.size))]
        self._require_agreement(nodes)
        for node in nodes:
            if mounts := node.get("extraMounts"):  # kind would take them from where it is run
                folder = self.file.parent if self.file else Path()
                node["extraMounts"] = [{**mount, "hostPath": str(folder / mount["hostPath"])} for mount in mounts]
            mappings = node.get("extraPortMappings") or []
            if _leads(node) and all(mapping["containerPort"] != NODE_PORT for mapping in mappings if _is_tcp(mapping)):
                ours = {"containerPort": NODE_PORT, "hostPort": self.port, "listenAddress": "127.0.0.1", "protocol": "TCP"}
                node["extraPortMappings"] = [*mappings, ours]
        return nodes

    def _require_agreement(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Raises SettingError if theirs says otherwise what ours needs."""
        networking, fixed = self.theirs.get("networking") or {}, {**HEADER, "name": self.name}
        said: list[tuple[str, Any, Any]] = [(key, self.theirs.get(key), ours) for key, ours in fixed.items()]
        said += [(f"networking.{key}", networking.get(key), ours) for key, ours in NETWORKING.items()]
        said += [(f"the image of node {number}", node.get("image"), self.image) for number, node in enumerate(nodes, 1)]
        said += [("the number of nodes", len(nodes), self.size), ("the number of control planes", sum(map(_leads, nodes)), 1)]
        for mapping in [mapping for node in nodes for mapping in node.get("extraPortMappings") or [] if _is_tcp(mapping)]:
            port, inside = mapping.get("hostPort"), mapping["containerPort"]
            if port == self.port or inside == NODE_PORT:
                said.append(("a mapped port", f"{port} to {inside}", f"{self.port} to {NODE_PORT}"))
        for what, theirs, ours in said:
            if theirs not in (None, ours):
                hint = f"Leave it out there: {DOCS}/use.md#settings has the settings of a cluster"
                raise SettingError(f"{self.file}: {what} is {theirs}, and the cluster's is {ours}.", hint)

    def _patches(self) -> list[dict[str, Any]]:
        """Those of kubeadm's configuration. kind uses the form that fits: v1beta3 before Kubernetes 1.36."""
        own = {"controlPlaneComponentHealthCheck": 240, "kubeletHealthCheck": 240, "kubernetesAPICall": 60}
        own |= {"etcdAPICall": 120, "tlsBootstrap": 300, "discovery": 300}
        timeouts = {name: f"{max(seconds, self.timeout):.0f}s" for name, seconds in own.items()}
        # the managers of one control plane need no election: a cluster that starts again would wait for the stopped ones' lease
        scheduler = {"leader-elect": "false"}
        managers = {**scheduler, "kube-api-qps": str(CONTROLLERS_RATE), "kube-api-burst": str(CONTROLLERS_RATE)}
        patches: list[dict[str, Any]] = []
        for form, written in (("v1beta4", _listed), ("v1beta3", dict)):
            kubeadm = f"kubeadm.k8s.io/{form}"
            given = {"controllerManager": {"extraArgs": written(managers)}, "scheduler": {"extraArgs": written(scheduler)}}
            patches.append({"apiVersion": kubeadm, "kind": "ClusterConfiguration", **given})
            if self.size > 1:  # kind removes the taint of the control plane only from a cluster of one node
                patches.append({"apiVersion": kubeadm, "kind": "InitConfiguration", "nodeRegistration": {"taints": []}})
        kinds = ("InitConfiguration", "JoinConfiguration")
        patches += [{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": kind, "timeouts": timeouts} for kind in kinds]
        # from 1.35 on the kubelet refuses a machine with cgroup v1, such as Debian 12 without systemd
        kubelet = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "failCgroupV1": False}
        # kube-proxy gathers changes for a second, also if it is told 0; ours writes its rules at once
        proxy = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}
        return [*patches, kubelet, {**proxy, "iptables": {"minSyncPeriod": "1ms"}}]

    def words(self) -> list[str]:
        """The words after the program's name; the configuration comes on standard input."""
        words = ["--name", self.name, "--image", self.image, "--config", "-", "--kubeconfig", self.kubeconfig]
        return ["create", "cluster", *words]

    def environment(self, given: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The variables that make kind use the cluster's own network, and nodes ask its registry and not a proxy."""
        own = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": self.name}
        if any(given.get(name) for name in PROXIES):  # kind gives them to the nodes
            direct = given.get("NO_PROXY") or given.get("no_proxy") or ""
            own["NO_PROXY"] = ",".join(filter(None, (direct, registry_of(self.name))))
        return own


def read(file: Path | None) -> dict[str, Any]:
    """kind's configuration as a person wrote it, {} without a file. Raises SettingError."""
    given = (files.yaml(file) or {}) if file else {}
    if not isinstance(given, dict) or not isinstance(given.get("nodes") or [], list):
        raise _misread(file)
    return given


def _misread(file: Path | None) -> SettingError:
    return SettingError(f"{file} cannot be read: it does not have the form that kind expects.", files.FIX)


def _leads(node: Mapping[str, Any]) -> bool:
    return bool(node.get("role", CONTROL_PLANE) == CONTROL_PLANE)


def _is_tcp(mapping: Mapping[str, Any]) -> bool:
    return bool(mapping.get("protocol", "TCP") == "TCP")


def _listed(arguments: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in arguments.items()]


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
