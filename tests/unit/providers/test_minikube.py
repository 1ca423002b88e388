"""The adapter for minikube; test_own.py has what it shares with kind's."""

from pathlib import Path

import pytest

from kubetasks.errors import ClusterError, SetupError
from kubetasks.project.labels import OWNER_LABEL, TOOL
from kubetasks.project.versions import KICBASE, KUBERNETES
from kubetasks.providers.minikube.config import CONTROLLERS, Config, pulled_release
from kubetasks.setup import requirements
from kubetasks.setup.requirements import Artifact
from kubetasks.terminal import shell
from tests.unit.providers.fakes import IMAGE, NAME, World, fixed


def test_a_container_that_the_engine_restarted_has_no_kubelet(minikube: World) -> None:
    minikube.provider.start()
    minikube.engine.kubelet = False
    assert minikube.provider.phase() == "stopped"
    assert minikube.provider.start()[1] == "stopped"
    assert minikube.program.words == ["start", "start"]


def test_minikube_finds_our_kubectl_first(minikube: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """minikube runs the first kubectl on PATH, and another one might write to ~/.kube."""
    monkeypatch.setattr(requirements, "kubectl", lambda: Artifact("/clone/.venv/bin/kubectl", True))
    monkeypatch.setenv("PATH", "/usr/bin")
    minikube.provider.start()
    assert minikube.program.environment["PATH"] == "/clone/.venv/bin:/usr/bin"


def test_a_cluster_that_is_started_again_keeps_what_it_was_created_with() -> None:
    config = Config(NAME, "node:1", built=True, kubernetes="v1.36.3", runtime="docker", timeout=600)
    holding_all = "--preload=false --cache-images=false"
    assert config.start == f"start --profile {NAME} --wait-timeout=600s {holding_all} --force".split()
    chosen = "--driver=docker --container-runtime=docker --kubernetes-version=v1.36.3 --base-image=node:1 --cni=bridge"
    assert config.create[: -len(CONTROLLERS)] == [*config.start, *chosen.split()]


def test_on_an_ordinary_machine_minikube_decides_all_but_the_versions_and_the_controllers_rate() -> None:
    """--force here too: without it, minikube fails if GitHub's API does not answer about a release newer than its list."""
    release = pulled_release(KUBERNETES["1.36"].pulled)
    assert release.startswith("v1.36.")
    config = Config(NAME, KICBASE, built=False, kubernetes=release, runtime="containerd", timeout=120)
    chosen = f"--driver=docker --container-runtime=containerd --kubernetes-version={release} --base-image={KICBASE}"
    assert config.create == [*f"start --profile {NAME} --wait-timeout=360s --force {chosen}".split(), *CONTROLLERS]


def test_it_has_a_home_of_its_own_with_the_keys_which_another_clone_uses_too(minikube: World, tmp_path: Path) -> None:
    facts, _ = minikube.provider.start()
    home = tmp_path / "clone" / ".state" / "demo.minikube"
    own = {"KUBECONFIG": str(home / "kubeconfig"), "MINIKUBE_HOME": str(home)}
    other = minikube.make("other")
    assert (facts.context, facts.node_ports, facts.load_balancer) == (NAME, True, False)
    assert (other.phase(), other.environment, other.cluster()) == ("running", own, facts)
    other.deliver(IMAGE)
    assert own.items() <= minikube.program.environment.items()
    assert home.exists()
    assert other.delete()
    assert not home.parent.exists()


def test_a_folder_that_a_label_names_and_that_is_not_of_a_cluster_is_not_removed(minikube: World, tmp_path: Path) -> None:
    minikube.provider.start()
    minikube.engine.volumes[NAME][TOOL.key("state")] = str(tmp_path)
    assert minikube.provider.delete()
    assert tmp_path.exists()


def test_a_node_with_docker_has_an_engine_and_what_the_application_is_built_on(
    minikube: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(requirements, "BASE_IMAGE", fixed(Artifact("simple-server-base:1", True)))
    assert minikube.provider.docker_env(unset=False) is None, "containerd builds nothing"
    minikube.provider.start()
    profile = Path(minikube.provider.kubeconfig).parent / ".minikube" / "profiles" / NAME / "config.json"
    profile.parent.mkdir(parents=True)
    profile.write_text('{"KubernetesConfig": {"ContainerRuntime": "docker"}}')
    minikube.program.version = "export DOCKER_HOST=tcp://192.168.49.2:2376\nunset SSH_AUTH_SOCK;\n# minikube -p demo\n"
    for unset in (False, True):
        assert minikube.provider.docker_env(unset=unset) == "export DOCKER_HOST=tcp://192.168.49.2:2376"
        assert minikube.program.called[-1] == ["docker-env", "--profile", NAME, *(["--unset"] if unset else [])]
    assert minikube.program.words.count("image") == 1, "the base is loaded once"
    assert minikube.engine.loaded == ["simple-server-base:1"]
    minikube.provider.deliver(IMAGE)
    assert minikube.provider.remove_images(set) == IMAGE.names
    assert minikube.make(dry=True).docker_env(unset=False) == ""
    assert capsys.readouterr().out == "minikube docker-env --profile demo\n"


def test_an_image_that_was_not_loaded_is_missed_and_neither_machine_nor_node_keeps_the_file(minikube: World) -> None:
    minikube.provider.start()
    minikube.program.broken = "image"  # minikube logs a warning, and exits with 0
    with pytest.raises(ClusterError, match="did not load"):
        minikube.provider.deliver(IMAGE)
    file = Path(minikube.program.called[-1][-1])
    assert not file.exists()
    assert ("rm", "--force", f"/var/lib/minikube/images/{file.name}") in minikube.engine.ran


def test_the_commands_are_minikubes_own(minikube: World, capsys: pytest.CaptureFixture[str]) -> None:
    dry = minikube.make(dry=True)
    dry.start()
    volume, start, mark = capsys.readouterr().out.splitlines()
    assert volume.startswith(f"docker volume create --label {OWNER_LABEL}={TOOL.name}")
    assert start.startswith("minikube start --profile demo")
    assert mark == f"docker exec demo touch {dry.mark}"
    assert (minikube.engine.nodes, minikube.engine.volumes) == ({}, {})
    file = dry.folder / "image.tar"
    dry.deliver(IMAGE)
    assert capsys.readouterr().out.splitlines() == [
        f"docker save --output {file} {' '.join(IMAGE.names)}",
        f"minikube image load --profile demo {file}",
        "docker exec demo rm --force /var/lib/minikube/images/image.tar",
        f"rm {file}",
    ]
    shown = ["minikube", "service", "simple-server", "--url", "--profile", "demo", "--namespace", "ns"]
    assert dry.service_command(("--namespace", "ns")) == shown
    dry.tunnel()
    assert capsys.readouterr().out == "minikube tunnel --profile demo\n"


def test_a_tunnel_needs_sudo_and_says_how_it_ended(
    minikube: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    minikube.provider.start()
    monkeypatch.setattr("shutil.which", lambda _name: None)
    with pytest.raises(SetupError, match="needs sudo on PATH"):
        minikube.provider.tunnel()
    assert "While the tunnel is open" not in capsys.readouterr().err
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(shell, "show", lambda *_given, **_more: 81)
    with pytest.raises(ClusterError, match="ended with 81"):
        minikube.provider.tunnel()
    assert "While the tunnel is open" in capsys.readouterr().err
