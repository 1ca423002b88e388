"""What is looked for on this machine, for each provider."""

import dataclasses
from pathlib import Path

import pytest

from kubetasks.engine import access, client
from kubetasks.errors import SetupError
from kubetasks.project.settings import Settings
from kubetasks.providers.existing import Existing
from kubetasks.providers.kind.provider import Kind
from kubetasks.setup import inventory, requirements
from kubetasks.setup.requirements import Requirement
from tests.unit.configured import configured
from tests.unit.engine.fakes import FakeEngine

COMMON = ["engine", "kubectl", "base image"]
MINIKUBE = requirements.MINIKUBE, requirements.MINIKUBE_NODE_IMAGE


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    """The settings on a machine that has no engine and an empty cache."""
    monkeypatch.setattr(client, "release", lambda: None)
    return configured(cache=tmp_path)


@pytest.mark.parametrize(
    ("needed", "own"),
    [
        (Kind.requirements, ["kind", "node image", "load balancer", "registry"]),
        (MINIKUBE, ["minikube", "node image"]),
        (Existing.requirements, []),
    ],
)
def test_only_what_the_provider_needs_is_looked_for(bare: Settings, needed: tuple[Requirement, ...], own: list[str]) -> None:
    items = inventory.look(bare, needed)
    assert sorted(item.name for item in items) == sorted(COMMON + own)
    assert set(inventory.missing(bare, needed)) == {"engine", "base image", *own}


def looked_for(settings: Settings, name: str, needed: tuple[Requirement, ...] = Kind.requirements) -> inventory.Item:
    return next(item for item in inventory.look(settings, needed) if item.name == name)


def test_the_command_line_that_kind_and_minikube_call_is_looked_for_beside_an_engine_and_setup_says_that_it_lacks(
    bare: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(client, "release", lambda: "28.0.4")
    monkeypatch.setattr(client, "connect", FakeEngine)
    monkeypatch.setenv("PATH", str(tmp_path))
    item = looked_for(bare, inventory.DOCKER)
    assert (item.present, item.remedy) == (False, f"Install it: {inventory.INSTALL_DOCKER}")
    assert inventory.DOCKER not in inventory.missing(bare, Kind.requirements), "setup does not install it"
    with pytest.raises(SetupError, match="The Docker CLI is missing"):
        inventory.require_docker()
    (tmp_path / "docker").touch(mode=0o755)
    inventory.require_docker()
    assert looked_for(bare, inventory.DOCKER).detail == str(tmp_path / "docker")
    assert inventory.DOCKER not in [item.name for item in inventory.look(bare, Existing.requirements)]


def test_an_engine_that_somebody_has_chosen_and_that_does_not_answer_is_named(
    bare: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2375")
    lacking = [item for item in inventory.look(bare, Kind.requirements) if not item.present]
    assert lacking[0].detail == "the engine that DOCKER_HOST selects does not answer"
    assert inventory.remedies(bare, lacking) == f"{access.UNREACHABLE_HINT}; ./inv setup"


def test_an_engine_that_setup_may_not_install_is_missing_all_the_same(bare: Settings) -> None:
    item = looked_for(dataclasses.replace(bare, engine="refuse"), "engine")
    assert (item.present, item.remedy) == (False, "Start yours, or unset INVOKE_SETUP_ENGINE")


def test_minikube_is_there_once_its_program_can_be_run(bare: Settings) -> None:
    program = Path(requirements.MINIKUBE.find(None, bare).reference)
    program.parent.mkdir()
    program.touch(0o644)
    assert not looked_for(bare, "minikube", MINIKUBE).present
    program.chmod(0o755)
    found = looked_for(bare, "minikube", MINIKUBE)
    assert (found.present, found.detail) == (True, requirements.MINIKUBE.version)
