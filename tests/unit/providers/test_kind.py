"""What kind is asked for, and on which port."""

import dataclasses
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from kubetasks.errors import ClusterError, LeftoverError, ProgramError
from kubetasks.project.labels import TOOL
from kubetasks.providers import containerd
from kubetasks.providers.kind import config, provider
from kubetasks.providers.kind.config import Config
from kubetasks.providers.kind.network import Network
from kubetasks.providers.kind.provider import Kind
from kubetasks.providers.own import DELETION_SECONDS
from kubetasks.terminal import equivalents, shell
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.unit.configured import configured

CONFIG = Config(name="demo", image="node:1", port=8085, kubeconfig="/state/demo/kubeconfig", size=1, timeout=120)


def test_the_mapped_port_listens_on_loopback_alone() -> None:
    (node,) = yaml.safe_load(CONFIG.text)["nodes"]
    assert node["extraPortMappings"] == [
        {"containerPort": 30080, "hostPort": 8085, "listenAddress": "127.0.0.1", "protocol": "TCP"}
    ]


def test_only_the_control_plane_maps_a_port_and_every_node_takes_pods() -> None:
    document = yaml.safe_load(dataclasses.replace(CONFIG, size=3).text)
    assert [(node["role"], "extraPortMappings" in node) for node in document["nodes"]] == [
        ("control-plane", True),
        ("worker", False),
        ("worker", False),
    ]
    patches = [yaml.safe_load(patch) for patch in document["kubeadmConfigPatches"]]
    assert [patch["nodeRegistration"]["taints"] for patch in patches if "nodeRegistration" in patch] == [[], []]


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


def test_the_nodes_have_the_names_that_kind_gives_them() -> None:
    assert dataclasses.replace(CONFIG, size=3).nodes == ["demo-control-plane", "demo-worker", "demo-worker2"]


@pytest.mark.parametrize(
    ("image", "minor"),
    [("kindest/node:v1.36.4@sha256:0", "1.36"), ("simple-server-node:v1.35.4-0123456789ab", "1.35"), ("mine:latest", "")],
)
def test_a_node_images_tag_tells_its_kubernetes(image: str, minor: str) -> None:
    assert config.kubernetes_of(image) == minor


def test_every_patch_of_kubeadms_configuration_is_yaml_of_its_own() -> None:
    patches = [yaml.safe_load(patch) for patch in yaml.safe_load(CONFIG.text)["kubeadmConfigPatches"]]
    assert [(patch["kind"], patch["apiVersion"]) for patch in patches] == [
        ("ClusterConfiguration", "kubeadm.k8s.io/v1beta4"),
        ("ClusterConfiguration", "kubeadm.k8s.io/v1beta3"),
        ("InitConfiguration", "kubeadm.k8s.io/v1beta4"),
        ("JoinConfiguration", "kubeadm.k8s.io/v1beta4"),
        ("KubeletConfiguration", "kubelet.config.k8s.io/v1beta1"),
        ("KubeProxyConfiguration", "kubeproxy.config.k8s.io/v1alpha1"),
    ]


def test_the_controllers_rate_is_set_in_each_form_of_kubeadms_configuration() -> None:
    new, old, *_ = [yaml.safe_load(patch) for patch in yaml.safe_load(CONFIG.text)["kubeadmConfigPatches"]]
    limits = {"leader-elect": "false", "kube-api-qps": "500", "kube-api-burst": "500"}
    assert {one["name"]: one["value"] for one in new["controllerManager"]["extraArgs"]} == limits
    assert old["controllerManager"]["extraArgs"] == limits


@pytest.mark.parametrize(("timeout", "call", "bootstrap"), [(120, "120s", "300s"), (1500, "1500s", "1500s")])
def test_kubeadm_does_not_give_up_before_the_tasks_do(timeout: float, call: str, bootstrap: str) -> None:
    patches = [
        yaml.safe_load(patch)
        for patch in yaml.safe_load(dataclasses.replace(CONFIG, timeout=timeout).text)["kubeadmConfigPatches"]
    ]
    (init, join) = [patch["timeouts"] for patch in patches if "timeouts" in patch]
    assert init == join
    assert (init["kubernetesAPICall"], init["tlsBootstrap"]) == (call, bootstrap)


def test_the_sentence_that_matters_is_told_and_not_the_stack_after_it(tmp_path: Path) -> None:
    stack = "\n".join(f"k8s.io/kubernetes/cmd/kubeadm/app.{number}" for number in range(14))
    output = f"[init] Using Kubernetes\nerror: could not bootstrap the admin user: context deadline exceeded\n{stack}\n"

    class Failing(Kind):
        def _create(self, _at: object, *, again: bool = False) -> None:  # noqa: ARG002
            raise ProgramError(["kind", "create"], 1, output, "/cache/logs/kind.log")

        def _settle(self, _size: int) -> None:
            pass

        def _remove(self) -> None:
            pass

    with pytest.raises(ClusterError) as told:
        Failing(configured(tmp_path), Report(), lambda: pytest.fail("nobody asks the engine"))._create_whole()
    assert told.value.sentence.splitlines()[1:] == [
        "  error: could not bootstrap the admin user: context deadline exceeded",
        "  full log: /cache/logs/kind.log",
    ]


def test_kube_proxy_does_not_gather_changes_for_a_second() -> None:
    *_, proxy = [yaml.safe_load(patch) for patch in yaml.safe_load(CONFIG.text)["kubeadmConfigPatches"]]
    assert proxy["iptables"]["minSyncPeriod"] == "1ms", "it takes 0 for its default"


@pytest.mark.promise("The cluster has its own kubeconfig file")
def test_kind_gets_a_kubeconfig_of_our_own() -> None:
    argv = ["kind", *CONFIG.words("file.yaml")]
    assert argv[:3] == ["kind", "create", "cluster"]
    assert argv[argv.index("--kubeconfig") + 1] == "/state/demo/kubeconfig"


def test_the_equivalent_command_names_the_network_to_kind_and_holds_the_configuration() -> None:
    create = equivalents.create_cluster(CONFIG.words("-"), CONFIG.environment({}), CONFIG.text)
    assert create.startswith("KIND_EXPERIMENTAL_DOCKER_NETWORK=demo kind create cluster")
    assert create.endswith(f"{CONFIG.text}EOF")


def test_the_equivalent_commands_are_kinds_and_dockers_own(tmp_path: Path) -> None:
    engine: Any = SimpleNamespace(container=lambda _: None, image_id=lambda _: "sha256:1", platform=lambda _: "linux/arm64")
    kept = Kept(configured(cache=tmp_path), Report(), lambda: engine)
    assert kept._load_lines(["app:1"]) == (
        "docker save --platform linux/arm64 --output /tmp/image.tar app:1",
        f"kind load image-archive --name {kept.name} /tmp/image.tar",
        "rm /tmp/image.tar",
    )
    assert kept._halt_lines() == ("docker stop simple-server-control-plane",)
    assert kept._resume_lines() == ("docker start simple-server-control-plane",)
    assert kept.service_line(("--namespace", "ns")) == f"kubectl --namespace ns get service {PROJECT.application.name}"


@pytest.mark.promise("Each gets the next free port")
def test_a_taken_port_gives_way_to_the_next_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert config.free_port(port) > port


def test_no_port_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "PORTS_TRIED", 0)
    with pytest.raises(ClusterError, match="No port from 8080"):
        config.free_port(8080)


class Racing(Kind):
    """Somebody takes the port before the engine does."""

    def prepare(self, _config: Config) -> None:
        pass

    def _remove(self) -> None:
        pass


def test_a_port_that_is_taken_meanwhile_is_tried_once_more_with_the_next_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ports = iter([8080, 8081])
    monkeypatch.setattr(Kind, "config", lambda _self: dataclasses.replace(CONFIG, port=next(ports)))
    tries = iter([ProgramError(["kind"], 1, "listen tcp4 127.0.0.1:8080: bind: address already in use")])

    def run(_argv: list[str], **_options: object) -> None:
        for error in tries:
            raise error

    monkeypatch.setattr(shell, "run", run)
    Racing(configured(cache=tmp_path), Report(), lambda: pytest.fail("nobody asks the engine"))._create(lambda _line: None)
    assert next(ports, None) is None, "the second one was used"


def test_a_port_that_the_engine_always_refuses_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tried: list[object] = []
    monkeypatch.setattr(Kind, "config", lambda _self: CONFIG)

    def run(argv: list[str], **_options: object) -> None:
        tried.append(argv)
        raise ProgramError(["kind"], 1, f"listen tcp4 127.0.0.1:{CONFIG.port}: bind: address already in use")

    monkeypatch.setattr(shell, "run", run)
    racing = Racing(configured(cache=tmp_path), Report(), lambda: pytest.fail("nobody asks the engine"))
    with pytest.raises(ProgramError):
        racing._create(lambda _line: None)
    assert len(tried) == 2


def test_the_network_has_the_mtu_of_the_default_bridge() -> None:
    created: dict[str, Any] = {}
    mtu = {"com.docker.network.driver.mtu": "1400"}
    engine: Any = SimpleNamespace(
        network=lambda name: {"Options": mtu} if name == "bridge" else None,
        create_network=lambda _name, _labels, options: created.update(options),
    )
    Network(engine, TOOL, "demo", {}).create()
    assert created.items() >= mtu.items()


class Kept(Kind):
    """kind leaves a node, whether it ends with 0 or fails."""

    failure: ProgramError | None = None

    def _nodes(self) -> list[Any]:
        return [SimpleNamespace(name="simple-server-control-plane", attrs={"NetworkSettings": {"Networks": {self.name: {}}}})]

    def _kind(self, *words: str, timeout: float = 0, **_variables: str) -> str:
        assert words[0] == "delete"
        assert timeout == max(self._settings.timeout, DELETION_SECONDS), "it must not hang, nor be cut off by a short setting"
        if self.failure:
            raise self.failure
        return ""


@pytest.mark.parametrize("timeout", [1, 300])
@pytest.mark.parametrize("failure", [None, ProgramError(["kind", "delete"], -15, "It was terminated.")])
def test_nodes_that_stay_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failure: ProgramError | None, timeout: float
) -> None:
    marks: list[str] = []
    monkeypatch.setattr(Kept, "failure", failure)
    ours = configured(tmp_path, cache=tmp_path, timeout=timeout)
    monkeypatch.setattr(containerd, "end", lambda _engine, _node, mark: marks.append(mark))
    network = {"Labels": TOOL.labels}
    engine: Any = SimpleNamespace(network=lambda _name: network, has_file=lambda *_: True, container=lambda _name: None)
    with pytest.raises(LeftoverError, match="are left: container simple-server-control-plane") as told:
        Kept(ours, Report(), lambda: engine).delete()
    assert told.value.hint == "./inv delete"
    assert marks == [Kind.mark], "what is left of a cluster must not pass for a whole one"
    assert ("It was terminated." in str(told.value.message)) == (failure is not None)


def test_a_deletion_that_is_interrupted_at_once_does_not_leave_what_passes_for_a_whole_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(containerd, "end", interrupted)
    network = {"Labels": TOOL.labels}
    engine: Any = SimpleNamespace(network=lambda _name: network, has_file=lambda *_: True, container=lambda _name: None)
    kept = Kept(configured(tmp_path, cache=tmp_path), Report(), lambda: engine)
    Path(kept.kubeconfig).parent.mkdir(parents=True)
    Path(kept.kubeconfig).write_text("client-key-data: whole\n")
    with pytest.raises(KeyboardInterrupt):
        kept.delete()
    assert not Path(kept.kubeconfig).exists()


class Going(Kept):
    """The engine is removing the node already, and takes three looks for it."""

    looks = 0

    def _nodes(self) -> list[Any]:
        if self.failure_seen:
            self.looks += 1
        return super()._nodes() if self.looks < 4 else []

    failure_seen = False

    def _kind(self, *words: str, timeout: float = 0, **variables: str) -> str:
        self.failure_seen = True
        return super()._kind(*words, timeout=timeout, **variables)


def test_a_deletion_waits_for_what_the_engine_removes_for_one_that_was_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    under_way = "Error response from daemon: removal of container demo-control-plane is already in progress"
    monkeypatch.setattr(Going, "failure", ProgramError(["kind", "delete"], 1, under_way))
    monkeypatch.setattr(containerd, "end", lambda *_: None)
    ours = configured(tmp_path, cache=tmp_path)
    engine: Any = SimpleNamespace(
        network=lambda _name: {"Labels": TOOL.labels},
        has_file=lambda *_: True,
        container=lambda _name: None,
        connected=lambda _name: [],
        remove_network=lambda _name: None,
    )
    assert Going(ours, Report(), lambda: engine).delete()


@pytest.mark.parametrize(
    ("output", "taken"),
    [
        ("Error: Bind for 127.0.0.1:8080 failed: port is already allocated", True),
        ("listen tcp4 127.0.0.1:8080: bind: address already in use", True),
        ("etcd: listen tcp 127.0.0.1:2379: bind: address already in use", False),
        ("no space left on device", False),
    ],
)
def test_only_the_mapped_ports_own_refusal_is_worth_another_try(output: str, taken: bool) -> None:
    assert provider.port_taken(output, 8080) == taken


def test_a_cluster_that_differs_from_the_settings_says_what_stays(capsys: pytest.CaptureFixture[str]) -> None:
    attrs = {"Config": {"Image": "node:v1.36.3-0"}, "HostConfig": {"PortBindings": {"30080/tcp": [{"HostPort": "8081"}]}}}
    node: Any = SimpleNamespace(attrs=attrs)
    Kind(configured(nodes=3), Report(), lambda: pytest.fail("nobody asks the engine"))._say_differences([node])
    assert capsys.readouterr().err.startswith(
        "Cluster simple-server stays as it is (INVOKE_CLUSTER_NODES is 3, the cluster has 1): ./inv delete start"
    )
