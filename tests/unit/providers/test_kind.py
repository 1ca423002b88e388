"""The adapter for kind: kind's configuration and commands, and the port. test_own.py has what it shares with minikube's."""

import dataclasses
import re
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubetasks.errors import ClusterError, SettingError
from kubetasks.providers.kind import config
from kubetasks.providers.kind.config import NODE_PORT, Config
from tasks import PROJECT
from tests.unit.engine.fakes import SUBNET
from tests.unit.providers.fakes import NAME, World

CONFIG = Config(name="demo", image="node:1", port=8085, kubeconfig="/state/demo/kubeconfig", size=1, timeout=120)


def patches(made: Config = CONFIG) -> list[dict[str, Any]]:
    """Return the patches of kubeadm's configuration, each of which is a YAML document of its own."""
    return [yaml.safe_load(patch) for patch in yaml.safe_load(made.text)["kubeadmConfigPatches"]]


def test_only_the_control_plane_maps_a_port_of_loopback_alone_and_every_node_takes_pods() -> None:
    three = dataclasses.replace(CONFIG, size=3)
    control_plane, *workers = yaml.safe_load(three.text)["nodes"]
    port = {"containerPort": 30080, "hostPort": 8085, "listenAddress": "127.0.0.1", "protocol": "TCP"}
    assert control_plane == {"role": "control-plane", "extraPortMappings": [port]}
    assert workers == [{"role": "worker"}, {"role": "worker"}]
    assert [patch["nodeRegistration"]["taints"] for patch in patches(three) if "nodeRegistration" in patch] == [[], []]
    assert three.nodes == ["demo-control-plane", "demo-worker", "demo-worker2"]


THEIRS = """\
nodes:
  - role: worker
    labels: {tier: "on"}
  - labels: {tier: edge}
    extraMounts: [{hostPath: data, containerPath: /data}, {hostPath: /srv, containerPath: /srv}]
    extraPortMappings: [{containerPort: 80, hostPort: 0}]
networking: {podSubnet: 10.1.0.0/16, apiServerAddress: 127.0.0.1}
featureGates: {InPlacePodVerticalScaling: false}
kubeadmConfigPatches:
  - |
    kind: KubeletConfiguration
    maxPods: 42
"""


def test_a_persons_configuration_is_kept_and_ours_is_in_it(kind: World, tmp_path: Path) -> None:
    (tmp_path / "kind.yaml").write_text(THEIRS)
    theirs, own = yaml.safe_load(THEIRS), kind.make(project=dataclasses.replace(PROJECT, kind=tmp_path / "kind.yaml"))
    made = own.config()
    whole = yaml.safe_load(made.text)
    assert [whole[key] for key in ("networking", "featureGates")] == [theirs[key] for key in ("networking", "featureGates")]
    worker, control_plane = whole["nodes"]
    assert worker == theirs["nodes"][0]
    assert [one["hostPath"] for one in control_plane["extraMounts"]] == [str(tmp_path / "data"), "/srv"], "where the file is"
    assert [one["containerPort"] for one in control_plane["extraPortMappings"]] == [80, NODE_PORT]
    assert (made.nodes, control_plane["labels"]) == ([f"{NAME}-control-plane", f"{NAME}-worker"], {"tier": "edge"})
    first, *_, last = patches(made)
    assert (first["kind"], last) == ("ClusterConfiguration", {"kind": "KubeletConfiguration", "maxPods": 42}), "the last counts"
    assert [one for one in patches(made) if "nodeRegistration" in one], "two nodes take pods"


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        ("kind: Other", "kind is Other, and the cluster's is Cluster."),
        ("apiVersion: other/v1", "apiVersion is other/v1, and the cluster's is kind.x-k8s.io/v1alpha4."),
        ("name: other", f"name is other, and the cluster's is {NAME}."),
        ("networking: {apiServerAddress: 0.0.0.0}", "networking.apiServerAddress is 0.0.0.0, and the cluster's is 127.0.0.1."),
        ("networking: {ipFamily: dual}", "networking.ipFamily is dual, and the cluster's is ipv4."),
        ("networking: {disableDefaultCNI: true}", "networking.disableDefaultCNI is True, and the cluster's is False."),
        ("nodes: [{}, {role: worker, image: mine}]", "the image of node 2 is mine, and the cluster's is node:1."),
        ("nodes: [{}, {}]", "the number of control planes is 2, and the cluster's is 1."),
        ("nodes: [{}, {role: worker}, {role: worker}]", "the number of nodes is 3, and the cluster's is 2."),
        ("nodes: [{extraPortMappings: [{containerPort: 80, hostPort: 8085}]}, {role: worker}]", "a mapped port is 8085 to 80"),
        ("nodes: [{role: worker, extraPortMappings: [{containerPort: 30080}]}, {}]", "a mapped port is None to 30080, and"),
        (f"name: {NAME}\nnodes: [{{role: control-plane, image: 'node:1'}}, {{role: worker}}]\nkind: Cluster", ""),
        ("nodes: [{extraPortMappings: [{containerPort: 30080, hostPort: 8085}]}, {role: worker}]", ""),
        ("nodes: [{extraPortMappings: [{containerPort: 30080, hostPort: 8085, protocol: UDP}]}, {role: worker}]", ""),
        ("nodes: [7]", "it does not have the form that kind expects."),
        ("nodes: [{extraMounts: [{containerPath: /data}]}, {role: worker}]", "it does not have the form that kind expects."),
        ("kubeadmConfigPatches: 7", "it does not have the form that kind expects."),
        ("networking: here", "it does not have the form that kind expects."),
    ],
)
def test_what_a_configuration_says_otherwise_than_the_cluster_needs_it_is_refused(theirs: str, told: str) -> None:
    made = dataclasses.replace(CONFIG, size=2, theirs=yaml.safe_load(theirs), file=Path("kind.yaml"))
    with pytest.raises(SettingError) if told else nullcontext() as refused:
        mappings = [one for node in yaml.safe_load(made.text)["nodes"] for one in node.get("extraPortMappings", [])]
        mapped = [(one["hostPort"], one["containerPort"]) for one in mappings if one.get("protocol") != "UDP"]
        assert mapped == [(8085, NODE_PORT)], "it is mapped once"
    assert told in (refused.value.sentence if refused else "")


@pytest.mark.parametrize("theirs", ["name: other", "nodes: 7", "- 7", None])
def test_nothing_is_created_for_a_configuration_that_is_refused_and_a_cluster_that_is_there_needs_none(
    kind: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], theirs: str | None
) -> None:
    file = tmp_path / "kind.yaml"
    own = kind.make(project=dataclasses.replace(PROJECT, kind=file))
    if theirs:
        file.write_text(theirs)
    with pytest.raises(SettingError, match=str(file)):
        own.start()
    assert (kind.program.called, capsys.readouterr().err) == ([], ""), "nothing is removed again"
    kind.make(nodes=2).start()
    assert own.start()[1] == "running"
    assert own.delete()


@pytest.mark.parametrize(
    ("given", "direct"),
    [
        ({}, None),
        ({"NO_PROXY": "10.0.0.0/8"}, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "demo-registry"),
        ({"https_proxy": "http://proxy:3128", "no_proxy": ".example.com"}, ".example.com,demo-registry"),
    ],
)
def test_behind_a_proxy_nodes_ask_the_registry_of_their_cluster_directly(given: dict[str, str], direct: str | None) -> None:
    assert CONFIG.environment(given).get("NO_PROXY") == direct


def test_kubeadm_is_told_what_speeds_a_cluster_up_in_each_form_of_its_configuration() -> None:
    made = {(one["kind"], one["apiVersion"].rpartition("/")[2]): one for one in patches()}
    newest, before = (made["ClusterConfiguration", form]["controllerManager"]["extraArgs"] for form in ("v1beta4", "v1beta3"))
    limits = {"leader-elect": "false", "kube-api-qps": "500", "kube-api-burst": "500"}
    assert {one["name"]: one["value"] for one in newest} == before == limits
    proxy = made["KubeProxyConfiguration", "v1alpha1"]
    assert proxy["iptables"]["minSyncPeriod"] == "1ms", "it takes 0 for its default, which is to gather changes for a second"


@pytest.mark.parametrize(("timeout", "call", "bootstrap"), [(120, "120s", "300s"), (1500, "1500s", "1500s")])
def test_kubeadm_does_not_give_up_before_the_tasks_do(timeout: float, call: str, bootstrap: str) -> None:
    (init, join) = [one["timeouts"] for one in patches(dataclasses.replace(CONFIG, timeout=timeout)) if "timeouts" in one]
    assert init == join
    assert (init["kubernetesAPICall"], init["tlsBootstrap"]) == (call, bootstrap)


def test_the_commands_are_kinds_and_dockers_own(
    kind: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dry, mtu = kind.make(dry=True), "com.docker.network.driver.mtu"
    monkeypatch.setattr(kind.engine, "network", {"bridge": {"Options": {mtu: "1400"}}}.get)
    assert dry.start() == (None, "missing")
    network, create = re.split(r"\n(?=KIND)", capsys.readouterr().out.partition("\ndocker exec ")[0])
    assert network.startswith("docker network create --label")
    assert f" --opt {mtu}=1400 " in network, "as the default bridge has"
    assert create.startswith(f"KIND_EXPERIMENTAL_DOCKER_NETWORK={NAME} kind create cluster --name {NAME} --image ")
    assert create.endswith(f"{kind.provider.config().text}EOF")
    assert kind.engine.nodes == {}
    monkeypatch.setattr(kind.engine, "platform", lambda _: "linux/arm64")
    dry.supply(["simple-server:v1"])
    assert capsys.readouterr().out.splitlines() == [
        "docker save --platform linux/arm64 --output /tmp/image.tar simple-server:v1",
        f"kind load image-archive --name {NAME} /tmp/image.tar",
        "rm /tmp/image.tar",
    ]
    assert dry.service_command(("--namespace", "ns"))[1:] == ["--namespace", "ns", "get", "service", PROJECT.application.name]


def test_a_port_that_is_taken_is_left_out_and_no_port_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert config.free_port(port) > port
    monkeypatch.setattr(config, "PORTS_TRIED", 0)
    with pytest.raises(ClusterError, match="No port from 8080"):
        config.free_port(8080)


def test_its_facts_are_those_of_its_control_plane_and_its_network(kind: World) -> None:
    facts, _ = kind.provider.start()
    (mapping,) = yaml.safe_load(kind.provider.config_file.read_text())["nodes"][0]["extraPortMappings"]
    assert (facts.context, facts.mapped_port) == ("kind-demo", (30080, mapping["hostPort"]))
    assert (facts.subnet, facts.load_balancer, facts.node_ports) == (SUBNET, True, False)
    kind.engine.info = {"OperatingSystem": "Docker Desktop"}
    assert not kind.provider.cluster().load_balancer, "which nobody would reach"


def test_the_sentence_that_matters_is_told_and_not_the_stack_after_it(kind: World, tmp_path: Path) -> None:
    stack = "\n".join(f"k8s.io/kubernetes/cmd/kubeadm/app.{number}" for number in range(14))
    error = "error: could not bootstrap the admin user: context deadline exceeded"
    kind.program.broken, kind.program.output = "create", f"[init] Using Kubernetes\n{error}\n{stack}\n"
    with pytest.raises(ClusterError) as told:
        kind.provider.start()
    log = tmp_path / "cache" / "logs" / "kind-demo.log"
    assert told.value.sentence.splitlines()[1:] == [f"  {error}", f"  full log: {log}"]
    assert log.exists()


@pytest.mark.parametrize(
    ("image", "told"),
    [
        ("kindest/node:v1.36.4@sha256:0", "; INVOKE_CLUSTER_KUBERNETES is 1.35, the cluster has 1.36"),
        ("simple-server-node:v1.34.9-0123456789ab", "; INVOKE_CLUSTER_KUBERNETES is 1.35, the cluster has 1.34"),
        ("mine:latest", ""),
    ],
)
def test_a_cluster_that_differs_from_the_settings_says_what_stays(
    kind: World, capsys: pytest.CaptureFixture[str], image: str, told: str
) -> None:
    kind.provider.start()
    kind.engine.nodes[f"{NAME}-control-plane"].attrs["Config"]["Image"] = image
    capsys.readouterr()
    assert kind.make(nodes=3, kubernetes="1.35").start()[1] == "running"
    stays = f"INVOKE_CLUSTER_NODES is 3, the cluster has 1{told}"
    assert capsys.readouterr().err == f"Cluster demo stays as it is ({stays}): ./inv delete start creates a new one.\n"


def test_another_port_than_the_default_one_is_told_if_the_cluster_has_it_not(
    kind: World, capsys: pytest.CaptureFixture[str]
) -> None:
    kind.provider.start()
    capsys.readouterr()
    kind.make(port=9090).start()
    assert "INVOKE_CLUSTER_PORT is 9090, the cluster has " in capsys.readouterr().err
    node = kind.engine.nodes[f"{NAME}-control-plane"]
    node.attrs["HostConfig"]["PortBindings"][f"{NODE_PORT}/tcp"][0]["HostPort"] = "9090"
    kind.make(port=8080).start()
    assert "INVOKE_CLUSTER_PORT" not in capsys.readouterr().err, "the default one may have been taken"


def test_a_node_that_ends_right_after_its_start_is_told_with_where_its_log_is(kind: World) -> None:
    kind.provider.start()
    kind.provider.stop()
    kind.engine.ends = True
    with pytest.raises(ClusterError) as told:
        kind.provider.start()
    assert told.value.sentence == "Node demo-control-plane of cluster demo has exited since it was started."
    assert told.value.hint == "docker logs demo-control-plane says why; ./inv delete start creates a new cluster"
