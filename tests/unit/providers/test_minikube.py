"""The adapter for minikube; what it has in common with kind's is in test_own.py."""

import shutil
from pathlib import Path

import pytest

from kubetasks.errors import ClusterError, OwnershipError
from kubetasks.project.labels import OWNER_LABEL, TOOL
from kubetasks.project.versions import KICBASE, KUBERNETES
from kubetasks.providers.minikube.config import Config, pulled_release
from kubetasks.providers.minikube.provider import Minikube
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Artifact
from tests.unit.engine.fakes import Container
from tests.unit.providers.fakes import IMAGE, NAME, NODE_IMAGE, World, fixed


def test_it_has_a_home_of_its_own_and_a_volume_says_whose_it_is(minikube: World, tmp_path: Path) -> None:
    facts, _ = minikube.provider.start()
    assert (facts.context, facts.node_ports, facts.load_balancer) == (NAME, True, False)
    assert facts.kubeconfig == str(tmp_path / "clone" / ".state" / "demo.minikube" / "kubeconfig")
    assert minikube.program.environment["KUBECONFIG"] == facts.kubeconfig
    assert minikube.program.environment["MINIKUBE_HOME"] == str(Path(facts.kubeconfig).parent)
    assert minikube.engine.volumes[NAME][OWNER_LABEL] == TOOL.name


def test_a_container_that_the_engine_restarted_has_no_kubelet(minikube: World) -> None:
    minikube.provider.start()
    minikube.engine.kubelet = False
    assert minikube.provider.phase() == "stopped"
    assert minikube.provider.start()[1]
    assert minikube.program.words == ["start", "start"]


def test_minikube_finds_our_kubectl_first(minikube: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs the first one on PATH, and another one may write into ~/.kube."""
    monkeypatch.setattr(requirements, "kubectl", lambda: Artifact("/clone/.venv/bin/kubectl", True))
    monkeypatch.setenv("PATH", "/usr/bin")
    minikube.provider.start()
    assert minikube.program.environment["PATH"] == "/clone/.venv/bin:/usr/bin"


def test_a_cluster_that_is_started_again_keeps_what_it_was_created_with() -> None:
    config = Config(NAME, NODE_IMAGE.reference, built=True, kubernetes="v1.36.3", forced=True, runtime="docker", timeout=600)
    image = f"--base-image={NODE_IMAGE.reference}"
    chosen = {"--kubernetes-version=v1.36.3", image, "--cni=bridge", "--container-runtime=docker"}
    assert chosen < set(config.create)
    assert not chosen & set(config.start)
    assert "--wait-timeout=600s" in config.start
    assert {"--preload=false", "--cache-images=false", "--force"} < set(config.start), "it holds all that minikube needs"


def test_on_an_ordinary_machine_minikube_decides_all_but_the_versions_and_the_controllers_rate() -> None:
    release = pulled_release(KUBERNETES["1.36"].pulled)
    assert release.startswith("v1.36.")
    config = Config(NAME, KICBASE, built=False, kubernetes=release, forced=False, runtime="containerd", timeout=120)
    assert set(config.create) == {
        *("start", "--profile", NAME, "--driver=docker", "--container-runtime=containerd", "--wait-timeout=360s"),
        *(f"--kubernetes-version={release}", f"--base-image={KICBASE}"),
        *(f"--extra-config=controller-manager.kube-api-{limit}=500" for limit in ("qps", "burst")),
    }


@pytest.mark.parametrize("kind", ["network", "container", "volume"])
def test_what_has_the_clusters_name_and_is_of_others_is_neither_used_nor_removed(minikube: World, kind: str) -> None:
    if kind == "network":
        minikube.engine.networks[NAME] = dict(TOOL.labels)  # of a kind cluster of ours, for example
    elif kind == "container":
        minikube.engine.nodes[NAME] = Container(NAME, {})
    else:
        minikube.engine.volumes[NAME] = {}
    with pytest.raises(OwnershipError, match=f"A Docker {kind} demo exists"):
        minikube.provider.start()
    assert not minikube.provider.delete()
    assert minikube.program.called == []


def test_another_clone_uses_the_keys_of_the_one_that_created_the_cluster(minikube: World) -> None:
    minikube.provider.start()
    other = minikube.make("other")
    assert other.phase() == "running"
    assert (other.environment, other.cluster()) == (minikube.provider.environment, minikube.provider.cluster())
    other.deliver(IMAGE)
    assert minikube.program.environment["MINIKUBE_HOME"] == minikube.provider.environment["MINIKUBE_HOME"]
    folder = Path(minikube.provider.kubeconfig).parent
    assert folder.exists()
    assert other.delete()
    assert not folder.parent.exists()


def test_without_the_clone_that_has_the_keys_a_cluster_can_only_be_deleted(minikube: World, tmp_path: Path) -> None:
    minikube.provider.start()
    shutil.rmtree(tmp_path / "clone")
    other = minikube.make("other")
    for refused in (other.phase, other.start, other.stop, other.cluster):
        with pytest.raises(ClusterError, match="The keys to cluster demo are gone") as told:
            refused()
        assert told.value.hint == "./inv delete start creates it again"
    assert other.delete()
    assert minikube.program.words == ["start", "delete"]


def test_a_folder_that_a_label_names_and_that_is_not_of_a_cluster_is_not_removed(minikube: World, tmp_path: Path) -> None:
    minikube.provider.start()
    minikube.engine.volumes[NAME][TOOL.key("state")] = str(tmp_path)
    assert minikube.provider.delete()
    assert tmp_path.exists()


def test_of_a_file_that_an_image_is_loaded_from_neither_machine_nor_node_keeps_a_copy(minikube: World) -> None:
    minikube.provider.start()
    minikube.provider.deliver(IMAGE)
    file = Path(minikube.program.called[-1][-1])
    assert not file.exists()
    assert ("rm", "--force", f"/var/lib/minikube/images/{file.name}") in minikube.engine.ran


def test_a_node_with_docker_has_an_engine_and_what_the_application_is_built_on(
    minikube: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(requirements, "BASE_IMAGE", fixed(Artifact("simple-server-base:1", True)))
    assert minikube.provider.docker_env(unset=False) is None, "containerd builds nothing"
    minikube.provider.start()
    profile = Path(minikube.provider.kubeconfig).parent / ".minikube" / "profiles" / NAME / "config.json"
    profile.parent.mkdir(parents=True)
    profile.write_text('{"KubernetesConfig": {"ContainerRuntime": "docker"}}')
    minikube.program.version = 'export DOCKER_HOST="tcp://192.168.49.2:2376"\n'
    assert minikube.provider.docker_env(unset=False) == 'export DOCKER_HOST="tcp://192.168.49.2:2376"'
    assert "simple-server-base:1" in minikube.engine.loaded
    assert minikube.program.called[-1] == ["docker-env", "--profile", NAME]
    minikube.provider.docker_env(unset=True)
    assert minikube.program.called[-1] == ["docker-env", "--profile", NAME, "--unset"]
    assert minikube.program.words.count("image") == 1, "loaded once"
    minikube.provider.deliver(IMAGE)
    assert minikube.provider.remove_images(set) == IMAGE.names
    assert minikube.make(dry=True).docker_env(unset=False) == ""
    assert capsys.readouterr().out == "minikube docker-env --profile demo\n"


def test_an_image_that_minikube_did_not_load_is_missed(minikube: World) -> None:
    minikube.provider.start()
    minikube.program.broken = "image"  # it logs a warning, and ends with 0
    with pytest.raises(ClusterError, match="did not load"):
        minikube.provider.deliver(IMAGE)


def test_the_equivalent_commands_are_minikubes_own(minikube: World, capsys: pytest.CaptureFixture[str]) -> None:
    dry = minikube.make(dry=True)
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
    assert minikube.program.words == []
    minikube.provider.start()
    assert dry.start_lines() == ()
    assert dry.stop()
    assert dry.delete()
    assert capsys.readouterr().out == "minikube stop --profile demo\nminikube delete --profile demo\n"
    assert minikube.program.words == ["start"], "nothing was changed"
    minikube.provider.stop()
    assert not dry.stop()
    assert capsys.readouterr().out == ""
