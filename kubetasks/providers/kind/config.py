"""What kind is given to create a cluster: its configuration file, arguments, environment and ports."""

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

NODE_PORT = 30080  # mapped to 127.0.0.1 when the cluster is created; the first service requests it
API_PORT = 6443  # the API server's port in the node
PORTS_TRIED = 100
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")

HEADER = {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4"}
# only this machine reaches the API server; the cluster's Docker network is IPv4, and nodes become ready only with a CNI plugin
NETWORKING = {"apiServerAddress": "127.0.0.1", "ipFamily": "ipv4", "disableDefaultCNI": False}
CONTROL_PLANE = "control-plane"


@dataclass(frozen=True)
class Config:
    """A cluster to create: `port` is the mapped port of 127.0.0.1, `image` the node image, `size` the number of nodes.

    From Kubernetes 1.36 on, kubeadm waits `timeout` seconds for each step, at least its default: a slow machine needs the time.
    `theirs` is the kind configuration that the user wrote in `file`.
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
        """kind's configuration file: the user's, merged with ours. Raises SettingError if they contradict each other."""
        import yaml

        class Dumper(yaml.SafeDumper):
            pass

        def block(dumper: Any, text: str) -> Any:
            return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

        Dumper.add_representer(str, block)
        try:
            ours = [yaml.safe_dump(patch, sort_keys=False) for patch in self._patches()]
            patches = [*ours, *(self.theirs.get("kubeadmConfigPatches") or [])]  # later patches win
            merged = {**HEADER, **self.theirs, "nodes": self._nodes(), "kubeadmConfigPatches": patches}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise _misread(self.file) from error
        return str(yaml.dump(merged, Dumper=Dumper, sort_keys=False))

    def _nodes(self) -> list[dict[str, Any]]:
        """Return the nodes, with the port mapping added to the control plane."""
        nodes = [dict(node) for node in self.theirs.get("nodes") or []]
        nodes = nodes or [{"role": CONTROL_PLANE}, *({"role": "worker"} for _ in range(1, self.size))]
        self._require_agreement(nodes)
        for node in nodes:
            if mounts := node.get("extraMounts"):  # kind resolves relative paths from where it runs
                folder = self.file.parent if self.file else Path()
                node["extraMounts"] = [{**mount, "hostPath": str(folder / mount["hostPath"])} for mount in mounts]
            mappings = node.get("extraPortMappings") or []
            if _leads(node) and all(mapping["containerPort"] != NODE_PORT for mapping in mappings if _is_tcp(mapping)):
                ours = {"containerPort": NODE_PORT, "hostPort": self.port, "listenAddress": "127.0.0.1", "protocol": "TCP"}
                node["extraPortMappings"] = [*mappings, ours]
        return nodes

    def _require_agreement(self, nodes: Sequence[Mapping[str, Any]]) -> None:
        """Raise SettingError if the user's configuration contradicts ours."""
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
        """Return the kubeadm patches. kind applies the ones of the API version that it uses: v1beta3 before Kubernetes 1.36."""
        own = {"controlPlaneComponentHealthCheck": 240, "kubeletHealthCheck": 240, "kubernetesAPICall": 60}
        own |= {"etcdAPICall": 120, "tlsBootstrap": 300, "discovery": 300}
        timeouts = {name: f"{max(seconds, self.timeout):.0f}s" for name, seconds in own.items()}
        # a single control plane needs no leader election: after a restart it would wait for the old leader's lease to expire
        scheduler = {"leader-elect": "false"}
        managers = {**scheduler, "kube-api-qps": str(CONTROLLERS_RATE), "kube-api-burst": str(CONTROLLERS_RATE)}
        patches: list[dict[str, Any]] = []
        for form, written in (("v1beta4", _listed), ("v1beta3", dict)):
            kubeadm = f"kubeadm.k8s.io/{form}"
            given = {"controllerManager": {"extraArgs": written(managers)}, "scheduler": {"extraArgs": written(scheduler)}}
            patches.append({"apiVersion": kubeadm, "kind": "ClusterConfiguration", **given})
            if self.size > 1:  # kind removes the control plane's taint only in a single-node cluster
                patches.append({"apiVersion": kubeadm, "kind": "InitConfiguration", "nodeRegistration": {"taints": []}})
        kinds = ("InitConfiguration", "JoinConfiguration")
        patches += [{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": kind, "timeouts": timeouts} for kind in kinds]
        # from Kubernetes 1.35 on, the kubelet refuses to run on cgroup v1, for example on Debian 12 without systemd
        kubelet = {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", "failCgroupV1": False}
        # kube-proxy batches changes for a second, even if this is 0; with 1 ms it writes its rules at once
        proxy = {"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration"}
        return [*patches, kubelet, {**proxy, "iptables": {"minSyncPeriod": "1ms"}}]

    def words(self) -> list[str]:
        """Return kind's arguments; it reads the configuration from standard input."""
        words = ["--name", self.name, "--image", self.image, "--config", "-", "--kubeconfig", self.kubeconfig]
        return ["create", "cluster", *words]

    def environment(self, given: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Return the variables that make kind use the cluster's own network, and nodes reach its registry without a proxy."""
        own = {"KIND_EXPERIMENTAL_DOCKER_NETWORK": self.name}
        if any(given.get(name) for name in PROXIES):  # kind passes them on to the nodes
            direct = given.get("NO_PROXY") or given.get("no_proxy") or ""
            own["NO_PROXY"] = ",".join(filter(None, (direct, registry_of(self.name))))
        return own


def read(file: Path | None) -> dict[str, Any]:
    """Return the user's kind configuration, or {} without a file. Raises SettingError."""
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
    """Return the Kubernetes minor in a node image's tag (1.36 for kindest/node:v1.36.4), or ""."""
    tag = re.search(r":v(\d+\.\d+)\.", image)
    return tag[1] if tag else ""


def control_plane(cluster: str) -> str:
    """Return the name of the node that runs the API server and has the mapped ports."""
    return f"{cluster}-control-plane"


def free_port(wanted: int) -> int:
    """Return `wanted`, or the next free port of 127.0.0.1. Raises ClusterError if none of PORTS_TRIED ports is free."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ClusterError(f"No port from {wanted} on is free on 127.0.0.1.", f"{INVOKE}_CLUSTER_PORT=NUMBER {INV} start")
