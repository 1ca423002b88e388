"""What kind is asked for, and on which port."""

import socket
from pathlib import Path

import pytest
import yaml

from kubetasks.errors import ClusterError
from kubetasks.providers import kind_recipe

RECIPE = kind_recipe.Recipe(
    name="demo",
    image="node:1",
    port=8085,
    config_file=Path("/state/demo/kind.yaml"),
    kubeconfig=Path("/state/demo/kubeconfig"),
    environment={kind_recipe.NETWORK_VARIABLE: "demo"},
)


def test_the_mapped_port_listens_on_loopback_alone() -> None:
    (node,) = yaml.safe_load(RECIPE.config)["nodes"]
    assert node["extraPortMappings"] == [
        {"containerPort": 30080, "hostPort": 8085, "listenAddress": "127.0.0.1", "protocol": "TCP"}
    ]


def test_every_patch_of_kubeadms_configuration_is_yaml_of_its_own() -> None:
    patches = [yaml.safe_load(patch) for patch in yaml.safe_load(RECIPE.config)["kubeadmConfigPatches"]]
    assert [(patch["kind"], patch["apiVersion"]) for patch in patches] == [
        ("ClusterConfiguration", "kubeadm.k8s.io/v1beta4"),
        ("ClusterConfiguration", "kubeadm.k8s.io/v1beta3"),
        ("KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1"),
    ]


def test_kind_gets_a_kubeconfig_of_our_own() -> None:
    argv = RECIPE.argv("kind", "file.yaml")
    assert argv[:3] == ["kind", "create", "cluster"]
    assert argv[argv.index("--kubeconfig") + 1] == "/state/demo/kubeconfig"


def test_the_mirrored_commands_label_the_network_and_name_it_to_kind() -> None:
    network, create = kind_recipe.mirror_create(RECIPE)
    assert "app.kubernetes.io/managed-by=simple-server-tasks" in network
    assert create.startswith("KIND_EXPERIMENTAL_DOCKER_NETWORK=demo kind create cluster")
    assert create.endswith("EOF")


def test_a_taken_port_gives_way_to_the_next_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert kind_recipe.free_port(port) > port


def test_no_port_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind_recipe, "PORTS_TRIED", 0)
    with pytest.raises(ClusterError, match="No port from 8080"):
        kind_recipe.free_port(8080)
