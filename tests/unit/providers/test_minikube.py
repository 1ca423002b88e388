"""The adapter for minikube, with an engine and a minikube that only remember; the real ones run in tests/thorough."""

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import ClusterError, LeftoverError, OwnershipError, ProgramError, TaskError
from kubetasks.project.labels import OWNER_LABEL, TOOL
from kubetasks.project.versions import KICBASE, KUBERNETES
from kubetasks.providers.minikube.config import PROFILE_LABEL, Config, pulled_release
from kubetasks.providers.minikube.provider import Minikube
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Artifact
from kubetasks.terminal import shell
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.unit.configured import configured

NAME = "demo"
BUILT = Artifact("simple-server-kicbase:v1.36.3-0123456789ab", True)
IMAGE = Image(PROJECT.application, "0123456789ab", "base")
OWN = {PROFILE_LABEL: NAME}
SETUP = "INVOKE_CLUSTER_PROVIDER=minikube ./inv setup"


def fixed(found: Artifact) -> SimpleNamespace:
    """A requirement that always finds that."""
    return SimpleNamespace(find=lambda *_: found)


@dataclasses.dataclass
class Node:
    """A container."""

    name: str
    labels: dict[str, str]
    status: str = "running"
    attrs: dict[str, Any] = dataclasses.field(default_factory=lambda: {"State": {"StartedAt": "2026-11-25T12:00:00Z"}})


KUBECONFIG = "users:\n- name: demo\n  user:\n    client-key: /home/me/my clone/.minikube/profiles/demo/client.key\n"


class FakeEngine:
    """Stands for kubetasks.engine.client.Engine."""

    info: Mapping[str, Any] = MappingProxyType({})

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.volumes: dict[str, dict[str, str]] = {}
        self.networks: dict[str, dict[str, str]] = {}
        self.files: set[str] = set()
        self.kubelet = True
        self.loaded: list[str] = []
        self.removed: list[str] = []

    def require_usable(self) -> None:
        pass

    def platform(self, _reference: str) -> str:
        return ""

    def container(self, name: str) -> Node | None:
        return self.nodes.get(name)

    def containers(self, label: str) -> list[Node]:
        return [node for node in self.nodes.values() if "=".join((PROFILE_LABEL, node.labels.get(PROFILE_LABEL, ""))) == label]

    def volume(self, name: str) -> dict[str, str] | None:
        return self.volumes.get(name)

    def create_volume(self, name: str, labels: dict[str, str]) -> None:
        self.volumes[name] = dict(labels)

    def remove_volume(self, name: str) -> None:
        del self.volumes[name]

    def network(self, name: str) -> dict[str, Any] | None:
        return {"Labels": self.networks[name]} if name in self.networks else None

    def has_file(self, _node: Node, path: str) -> bool:
        return path in self.files

    def run_in(self, _node: Node, *argv: str) -> str:
        if argv[0] == "ctr":
            return "\n".join(["REF TYPE DIGEST", *(f"docker.io/library/{name} type sha256:1" for name in self.loaded)])
        if argv[:2] == ("docker", "images"):
            return "\n".join(self.loaded)
        if argv[:2] == ("docker", "rmi"):
            self.loaded = [name for name in self.loaded if name not in argv]
            return ""
        if argv[0] == "rm":
            self.removed.append(argv[-1])
        if argv[0] == "touch":
            self.files.add(argv[1])
        return "systemd\nkubelet\n" if self.kubelet and "/comm" in argv[-1] else ""

    def image_id(self, reference: str) -> str | None:
        return "sha256:1" if reference == BUILT.reference else None

    def image_tags(self, _repository: str) -> list[str]:
        return list(IMAGE.names)

    def save(self, references: list[str], file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(references))


class FakeMinikube:
    """Does to the engine what minikube would; `broken` is the word at which it fails."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.called: list[list[str]] = []
        self.environment: dict[str, str] = {}
        self.broken = ""
        self.version = "v1.38.1"

    def __call__(self, argv: list[str], *, env: dict[str, str], **_options: Any) -> str:
        self.called.append(argv[1:])
        self.environment = dict(env)
        word = argv[1]
        if word == "start":
            assert NAME in self._engine.volumes, "without the volume, minikube would create one that nobody knows for ours"
            Path(env["MINIKUBE_HOME"]).mkdir(parents=True, exist_ok=True)
            self._engine.nodes[NAME] = Node(NAME, dict(OWN))
            self._engine.networks[NAME] = dict(OWN)
            self._engine.kubelet = True
        if word in ("start", "update-context"):
            Path(env["KUBECONFIG"]).write_text(KUBECONFIG)
        if word == "stop":
            self._engine.nodes[NAME].status = "exited"
        if word == self.broken == "delete":
            raise ProgramError(argv, -15, "It was terminated.")
        if word == "delete":
            for things in (self._engine.nodes, self._engine.volumes, self._engine.networks):
                things.pop(NAME, None)
            self._engine.files.clear()
        if word == "image" and self.broken != "image":
            self._engine.loaded += Path(argv[-1]).read_text().splitlines()
        if word == self.broken == "start":
            raise ProgramError(argv, 80, "X Exiting due to GUEST_PROVISION")
        return self.version

    @property
    def words(self) -> list[str]:
        return [words[0] for words in self.called]


@dataclasses.dataclass
class World:
    """An adapter with what it works on; `make` creates another one, for example for another clone."""

    provider: Minikube
    engine: FakeEngine
    minikube: FakeMinikube
    make: Callable[..., Minikube]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    engine = FakeEngine()
    minikube = FakeMinikube(engine)
    monkeypatch.setattr(shell, "run", minikube)
    monkeypatch.setattr(requirements, "MINIKUBE", fixed(Artifact("/cache/minikube", True)))
    monkeypatch.setattr(requirements, "MINIKUBE_NODE_IMAGE", fixed(BUILT))

    def make(clone: str = "clone", *, dry: bool = False) -> Minikube:
        there = configured(tmp_path / clone, cluster=NAME, provider="minikube", cache=tmp_path / "cache")
        return Minikube(there, Report(dry=dry), lambda: engine)  # type: ignore[arg-type,return-value]

    return World(make(), engine, minikube, make)


@pytest.mark.parametrize("damaged", [None, KUBECONFIG[:-10], ""])
def test_a_kubeconfig_that_is_gone_or_cut_off_is_written_anew(world: World, damaged: str | None) -> None:
    started = world.provider.start()
    assert started
    file = Path(started[0].kubeconfig)
    file.unlink() if damaged is None else file.write_text(damaged)
    assert world.provider.cluster().kubeconfig == str(file)
    assert file.read_text() == KUBECONFIG
    world.provider.cluster()
    assert world.minikube.words == ["start", "update-context"], "only once"


def test_it_is_created_stopped_started_and_deleted_with_files_of_its_own(world: World, tmp_path: Path) -> None:
    assert world.provider.phase() == "missing"
    started = world.provider.start()
    assert started
    facts, changed = started
    assert changed
    assert (facts.context, facts.node_ports, facts.load_balancer) == (NAME, True, False)
    assert facts.kubeconfig == str(tmp_path / "clone" / ".state" / "demo.minikube" / "kubeconfig")
    assert world.minikube.environment["KUBECONFIG"] == facts.kubeconfig
    assert world.minikube.environment["MINIKUBE_HOME"] == str(Path(facts.kubeconfig).parent)
    assert world.engine.volumes[NAME][OWNER_LABEL] == TOOL.name
    assert world.provider.start() == (facts, False)
    assert world.provider.stop()
    assert world.provider.phase() == "stopped"
    assert not world.provider.stop()
    with pytest.raises(ClusterError, match="demo is stopped"):
        world.provider.cluster()
    world.engine.nodes[NAME].status = "running"
    world.engine.kubelet = False
    assert world.provider.phase() == "stopped", "a container that the engine restarted has no kubelet"
    assert world.provider.start() == (facts, True)
    assert world.provider.delete()
    assert (world.provider.phase(), world.engine.volumes) == ("missing", {})
    assert not world.provider.delete()
    assert world.minikube.words == ["start", "stop", "start", "delete"]


def test_minikube_finds_our_kubectl_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs the first one on PATH, and another one may write into ~/.kube."""
    monkeypatch.setattr(requirements, "kubectl", lambda: Artifact("/clone/.venv/bin/kubectl", True))
    monkeypatch.setenv("PATH", "/usr/bin")
    world.provider.start()
    assert world.minikube.environment["PATH"] == "/clone/.venv/bin:/usr/bin"


def test_a_cluster_that_is_started_again_keeps_what_it_was_created_with() -> None:
    config = Config(NAME, BUILT.reference, built=True, kubernetes="v1.36.3", forced=True, runtime="docker", timeout=600)
    chosen = {"--kubernetes-version=v1.36.3", f"--base-image={BUILT.reference}", "--cni=bridge", "--container-runtime=docker"}
    assert chosen < set(config.create)
    assert not chosen & set(config.start)
    assert "--wait-timeout=600s" in config.start
    assert {"--preload=false", "--cache-images=false", "--force"} < set(config.start), "it holds all that minikube needs"


def test_on_an_ordinary_machine_minikube_decides_all_but_the_versions_and_the_controllers_rate() -> None:
    release = pulled_release(KUBERNETES["1.36"].pulled)
    assert release.startswith("v1.36.")
    config = Config(NAME, KICBASE, built=False, kubernetes=release, forced=False, runtime="containerd", timeout=120)
    assert set(config.create) == {
        "start",
        "--profile",
        NAME,
        "--driver=docker",
        "--container-runtime=containerd",
        f"--kubernetes-version={release}",
        f"--base-image={KICBASE}",
        "--wait-timeout=360s",
        "--extra-config=controller-manager.kube-api-qps=500",
        "--extra-config=controller-manager.kube-api-burst=500",
    }


def test_a_minikube_cluster_of_a_person_is_neither_used_nor_deleted(world: World) -> None:
    world.engine.nodes[NAME] = Node(NAME, dict(OWN))
    world.engine.volumes[NAME] = dict(OWN)
    for refused in (world.provider.phase, world.provider.start, world.provider.stop, world.provider.delete):
        with pytest.raises(OwnershipError, match="minikube cluster demo exists and was not created by these tasks"):
            refused()
    assert world.minikube.called == []


@pytest.mark.parametrize("kind", ["network", "container", "volume"])
def test_what_has_the_clusters_name_and_is_of_others_is_neither_used_nor_removed(world: World, kind: str) -> None:
    if kind == "network":
        world.engine.networks[NAME] = dict(TOOL.labels)  # of a kind cluster of ours, for example
    elif kind == "container":
        world.engine.nodes[NAME] = Node(NAME, {})
    else:
        world.engine.volumes[NAME] = {}
    with pytest.raises(OwnershipError, match=f"A Docker {kind} demo exists"):
        world.provider.start()
    assert not world.provider.delete()
    assert world.minikube.called == []


def test_a_creation_that_was_interrupted_is_made_good(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.provider.start()
    world.engine.files.clear()
    assert world.provider.phase() == "incomplete"
    with pytest.raises(ClusterError, match="was interrupted"):
        world.provider.cluster()
    world.provider.start()
    assert world.minikube.words == ["start", "delete", "start"]
    assert "creating it again" in capsys.readouterr().err

    world.engine.nodes.clear()  # killed before there was a container
    world.provider.start()
    assert world.minikube.words[-2:] == ["delete", "start"]


def test_what_minikube_cannot_create_is_said_and_removed(world: World) -> None:
    world.minikube.broken = "start"
    with pytest.raises(ClusterError, match=r"(?s)demo could not be created.*GUEST_PROVISION") as told:
        world.provider.start()
    assert told.value.hint == "./inv doctor"
    assert (world.engine.nodes, world.engine.volumes, world.engine.networks) == ({}, {}, {})


def test_another_clone_uses_the_keys_of_the_one_that_created_the_cluster(world: World) -> None:
    world.provider.start()
    other = world.make("other")
    assert other.phase() == "running"
    assert (other.environment, other.cluster()) == (world.provider.environment, world.provider.cluster())
    other.deliver(IMAGE)
    assert world.minikube.environment["MINIKUBE_HOME"] == world.provider.environment["MINIKUBE_HOME"]
    folder = Path(world.provider.kubeconfig).parent
    assert folder.exists()
    assert other.delete()
    assert not folder.parent.exists()


def test_without_the_clone_that_has_the_keys_a_cluster_can_only_be_deleted(world: World, tmp_path: Path) -> None:
    world.provider.start()
    shutil.rmtree(tmp_path / "clone")
    other = world.make("other")
    for refused in (other.phase, other.start, other.stop, other.cluster):
        with pytest.raises(ClusterError, match="The keys to cluster demo are gone") as told:
            refused()
        assert told.value.hint == "./inv delete start creates it again"
    assert other.delete()
    assert world.minikube.words == ["start", "delete"]


def test_what_stays_after_a_deletion_that_fails_is_named(world: World) -> None:
    world.provider.start()
    world.minikube.broken = "delete"
    with pytest.raises(LeftoverError, match=r"(?s)are left: container demo, network demo\..*It was terminated"):
        world.provider.delete()
    assert world.engine.volumes, "or nobody would know that it is ours"
    world.minikube.broken = ""
    assert world.provider.delete()


def test_a_folder_that_a_label_names_and_that_is_not_of_a_cluster_is_not_removed(world: World, tmp_path: Path) -> None:
    world.provider.start()
    world.engine.volumes[NAME][TOOL.key("state")] = str(tmp_path)
    assert world.provider.delete()
    assert tmp_path.exists()


def test_the_image_is_loaded_from_a_file_once(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.provider.start()
    assert world.provider.deliver(IMAGE) == Delivered(IMAGE.reference, pulled=False)
    assert world.engine.loaded == IMAGE.names
    assert "Loading" in capsys.readouterr().err
    world.provider.deliver(IMAGE)
    assert world.minikube.words == ["start", "image"]
    file = Path(world.minikube.called[-1][-1])
    assert not file.exists()
    assert world.engine.removed == [f"/var/lib/minikube/images/{file.name}"], "nor does the node keep a copy"


def test_a_node_with_docker_has_an_engine_and_what_the_application_is_built_on(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(requirements, "BASE_IMAGE", fixed(Artifact("simple-server-base:1", True)))
    assert world.provider.docker_env(unset=False) is None, "containerd builds nothing"
    world.provider.start()
    profile = Path(world.provider.kubeconfig).parent / ".minikube" / "profiles" / NAME / "config.json"
    profile.parent.mkdir(parents=True)
    profile.write_text('{"KubernetesConfig": {"ContainerRuntime": "docker"}}')
    world.minikube.version = 'export DOCKER_HOST="tcp://192.168.49.2:2376"\n'
    assert world.provider.docker_env(unset=False) == 'export DOCKER_HOST="tcp://192.168.49.2:2376"'
    assert "simple-server-base:1" in world.engine.loaded
    assert world.minikube.called[-1] == ["docker-env", "--profile", NAME]
    world.provider.docker_env(unset=True)
    assert world.minikube.called[-1] == ["docker-env", "--profile", NAME, "--unset"]
    assert world.minikube.words.count("image") == 1, "loaded once"
    world.provider.deliver(IMAGE)
    assert world.provider.remove_images(set) == IMAGE.names
    assert world.make(dry=True).docker_env(unset=False) == ""
    assert capsys.readouterr().out == "minikube docker-env --profile demo\n"


def test_an_image_that_minikube_did_not_load_is_missed(world: World) -> None:
    world.provider.start()
    world.minikube.broken = "image"  # it logs a warning, and ends with 0
    with pytest.raises(ClusterError, match="did not load"):
        world.provider.deliver(IMAGE)


def test_a_minikube_that_is_missing_is_said_before_anything_is_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "MINIKUBE", fixed(Artifact("/cache/minikube", False)))
    with pytest.raises(ClusterError, match=r"minikube is not installed\.") as told:
        world.provider.start()
    assert told.value.hint == SETUP
    assert world.engine.volumes == {}


def test_an_image_of_the_node_that_is_missing_is_said_before_anything_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "MINIKUBE_NODE_IMAGE", fixed(Artifact(KICBASE, False)))
    with pytest.raises(TaskError, match="image of minikube's nodes is missing") as told:
        world.provider.start()
    assert told.value.hint == "./inv setup"
    assert (world.engine.volumes, world.minikube.called) == ({}, [])


def test_the_equivalent_commands_are_minikubes_own(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    dry = world.make(dry=True)
    volume, start, mark, ready = dry.start_lines()
    save, load, forget, remove = dry.deliver_lines(IMAGE)
    assert volume.startswith(f"docker volume create --label {OWNER_LABEL}={TOOL.name}")
    assert start.startswith("minikube start --profile demo")
    assert mark == f"docker exec demo touch {Minikube.mark}"
    assert ready == "kubectl wait --for=condition=Ready nodes --all", "it has a load balancer of its own: the tunnel"
    file = load.split()[-1]
    assert save == f"docker save --output {file} {' '.join(IMAGE.names)}"
    assert load == f"minikube image load --profile demo {file}"
    assert forget == "docker exec demo rm --force /var/lib/minikube/images/image.tar"
    assert remove == f"rm {file}"
    assert dry.service_line(()) == "minikube service simple-server --url --profile demo"
    assert dry.tunnel_line == "minikube tunnel --profile demo"
    assert (dry.stop(), dry.delete(), capsys.readouterr().out) == (False, False, ""), "there is none"
    assert world.minikube.words == []
    world.provider.start()
    assert dry.start_lines() == ()
    assert dry.stop()
    assert dry.delete()
    assert capsys.readouterr().out == "minikube stop --profile demo\nminikube delete --profile demo\n"
    assert world.minikube.words == ["start"], "nothing was changed"
    world.provider.stop()
    assert not dry.stop()
    assert capsys.readouterr().out == ""
