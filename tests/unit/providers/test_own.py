"""A cluster created by these tasks, with either program: what is interrupted, damaged or left over is repaired or named."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from kubetasks.engine.client import Created
from kubetasks.errors import ClusterError, LeftoverError, OwnershipError
from kubetasks.project.labels import TOOL, Owner
from kubetasks.providers.own import DELETION_SECONDS
from kubetasks.setup.requirements import Artifact
from tasks import PROJECT
from tests.unit.engine.fakes import Container
from tests.unit.providers.fakes import NAME, NODE_IMAGE, World, fixed


def test_it_is_created_stopped_and_deleted_with_files_of_its_own(world: World, tmp_path: Path) -> None:
    assert world.provider.phase() == "missing"
    facts, before = world.provider.start()
    assert before == "missing"
    assert Path(facts.kubeconfig).is_relative_to(tmp_path / "clone" / ".state")
    assert world.provider.start() == (facts, "running")
    assert world.provider.phase() == "running"
    assert world.provider.stop()
    assert world.provider.phase() == "stopped"
    assert not world.provider.stop()
    with pytest.raises(ClusterError, match="demo is stopped"):
        world.provider.cluster()
    assert world.provider.start() == (facts, "stopped")
    assert world.provider.delete()
    assert (world.engine.nodes, world.engine.volumes, world.engine.networks) == ({}, {}, {})
    assert not (tmp_path / "clone" / ".state").exists()
    assert not world.provider.delete()


def test_a_cluster_of_that_name_with_another_provider_is_named(world: World) -> None:
    other = {"kind": "minikube", "minikube": "kind"}[world.name]
    world.engine.created = [Created(NAME, other, PROJECT.application.owner.name, "", "")]
    for refused in (world.provider.start, world.provider.delete, world.provider.cluster):
        with pytest.raises(ClusterError, match=f"^Cluster demo was created with the provider {other}\\.") as told:
            refused()
        assert told.value.hint.startswith(f"INVOKE_CLUSTER_PROVIDER={other} ./inv ")


def test_a_cluster_that_another_folder_has_created_says_so(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clone").mkdir(exist_ok=True)
    world.provider.start()
    own = "INVOKE_CLUSTER_NAME=NAME gives this folder its own"
    told = f"Cluster demo was created in {tmp_path / 'clone'}, which shares it: {own}.\n"
    assert told not in capsys.readouterr().err
    for act in ("cluster", "cluster", "delete"):
        getattr(world.make("other"), act)()
        assert told in capsys.readouterr().err
    world.provider.start()
    other = world.make("other")
    other.cluster()
    other.delete()
    assert capsys.readouterr().err.count(told) == 1, "once for all that is typed"


@pytest.mark.parametrize("damage", [None, -10, 0])
def test_a_kubeconfig_that_is_gone_or_cut_off_is_written_anew(world: World, damage: int | None) -> None:
    file = Path(world.provider.start()[0].kubeconfig)
    file.unlink() if damage is None else file.write_text(world.program.kubeconfig[:damage])
    assert world.provider.cluster().kubeconfig == str(file)
    assert file.read_text() == world.program.kubeconfig
    world.provider.cluster()
    assert world.program.words == [world.program.creates, world.program.writes], "only once"


def test_a_creation_that_was_interrupted_is_made_good(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    kubeconfig = Path(world.provider.start()[0].kubeconfig)
    world.engine.files.clear()
    kubeconfig.unlink()
    assert world.provider.phase() == "incomplete"
    with pytest.raises(ClusterError, match="was interrupted"):
        world.provider.cluster()
    world.provider.start()
    creates = world.program.creates
    assert world.program.words == [creates, "delete", creates]
    assert "creating it again" in capsys.readouterr().err

    world.engine.nodes.clear()  # as if killed before a container existed
    world.provider.start()
    assert world.program.words[-1] == creates
    assert world.provider.phase() == "running"


def test_what_cannot_be_created_is_said_and_removed(world: World) -> None:
    world.program.broken, world.program.output = world.program.creates, "X Exiting due to GUEST_PROVISION"
    with pytest.raises(ClusterError, match=r"(?s)demo could not be created.*GUEST_PROVISION") as told:
        world.provider.start()
    assert told.value.hint == "./inv doctor"
    assert (world.engine.nodes, world.engine.volumes, world.engine.networks) == ({}, {}, {})


@pytest.mark.parametrize("timeout", [1, 300])
def test_what_stays_after_a_deletion_that_fails_is_named(world: World, timeout: int) -> None:
    provider = world.make(timeout=timeout)
    provider.start()
    world.program.broken = "delete"
    with pytest.raises(LeftoverError, match=r"(?s)could not be deleted: container demo.*It was terminated\.") as told:
        provider.delete()
    assert told.value.hint == "./inv delete"
    assert world.program.timeout == max(timeout, DELETION_SECONDS), "it must not hang, nor be cut off by a short setting"
    assert provider.phase() == "incomplete", "what is left of a cluster must not pass for a whole one"
    assert [*world.engine.volumes, *world.engine.networks], "or nobody would know that it is ours"
    world.program.broken = ""
    assert provider.delete()


def test_a_deletion_waits_for_what_the_engine_removes_for_one_that_was_killed(world: World) -> None:
    looks = iter(range(4))

    def going() -> None:
        if world.program.words[-1] == "delete" and next(looks, None) is None:
            for things in (world.engine.nodes, world.engine.volumes, world.engine.networks):
                things.clear()

    world.provider.start()
    world.engine.on_look = going
    world.program.broken, world.program.output = "delete", f"removal of container {NAME} is already in progress"
    assert world.provider.delete()


@pytest.mark.parametrize(
    ("provider", "what", "name", "thing"),
    [
        ("kind", "network", NAME, {}),
        ("kind", "container", f"{NAME}-registry", Container(f"{NAME}-registry", {})),
        ("minikube", "network", NAME, dict(TOOL.labels)),  # for example, of a kind cluster with the owner's label
        ("minikube", "container", NAME, Container(NAME, {})),
        ("minikube", "volume", NAME, {}),
    ],
)
def test_what_has_a_name_of_the_cluster_and_is_of_others_is_neither_used_nor_removed(
    request: pytest.FixtureRequest, provider: str, what: str, name: str, thing: Any
) -> None:
    world: World = request.getfixturevalue(provider)
    engine: Any = world.engine
    {"network": engine.networks, "container": engine.nodes, "volume": engine.volumes}[what][name] = thing
    with pytest.raises(OwnershipError, match=f"{what} {name} exists"):
        world.provider.start()
    assert not world.provider.delete()
    assert [*engine.networks, *engine.nodes, *engine.volumes] == [name], "nothing else was made"
    assert world.program.called == []


def test_a_cluster_of_others_is_neither_used_nor_deleted(world: World) -> None:
    app = dataclasses.replace(PROJECT.application, owner=Owner("theirs"))
    world.make("theirs", project=dataclasses.replace(PROJECT, application=app)).start()
    dry = world.make(dry=True)
    for refused in (*(getattr(world.provider, name) for name in ("phase", "start", "stop", "delete")), dry.stop, dry.delete):
        with pytest.raises(OwnershipError, match="demo exists and was not created by these tasks"):
            refused()
    assert world.program.words == [world.program.creates]


BY_HAND = {  # the commands that stop and delete it
    "kind": ["docker stop demo-control-plane", "kind delete cluster --name demo --kubeconfig FILE", "docker network rm demo"],
    "minikube": ["minikube stop --profile demo", "minikube delete --profile demo"],
}


def test_under_dry_only_what_would_be_done_is_printed(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    dry = world.make(dry=True)
    assert (dry.stop(), dry.delete(), capsys.readouterr().out) == (False, False, ""), "there is none"
    world.provider.start()
    capsys.readouterr()
    assert (dry.start(), dry.stop(), dry.delete()) == ((None, "running"), True, True)
    assert capsys.readouterr().out.replace(dry.kubeconfig, "FILE").splitlines() == BY_HAND[world.name]
    assert world.provider.phase() == "running"
    world.provider.stop()
    assert (dry.stop(), capsys.readouterr().out) == (False, "")
    assert dry.start() == (None, "stopped")
    (line,) = capsys.readouterr().out.splitlines()
    assert " start " in line
    assert world.provider.phase() == "stopped"


def test_an_image_that_is_named_by_its_digest_is_left_to_the_nodes_to_pull(world: World) -> None:
    world.provider.start()
    pinned = "postgres:17@sha256:1"
    world.engine.images |= dict.fromkeys(("postgres:17", pinned), "sha256:2")
    world.provider.supply(["postgres:17", pinned])
    assert world.engine.loaded == ["postgres:17"]


def test_a_program_that_is_missing_is_said_before_anything_is_made(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(world.provider), "requirements", (fixed(Artifact("/cache/program", False), world.name),))
    with pytest.raises(ClusterError, match=rf"^{world.name} is not installed\.") as told:
        world.provider.start()
    assert world.provider.program == world.name
    assert told.value.hint == ("./inv setup" if world.name == "kind" else "INVOKE_CLUSTER_PROVIDER=minikube ./inv setup")
    assert (world.engine.networks, world.engine.volumes, world.program.called) == ({}, {}, [])


def test_an_image_of_the_node_that_is_missing_is_said_before_anything_is_made(world: World) -> None:
    world.engine.images.clear()
    with pytest.raises(ClusterError, match=f"image of {world.name}'s nodes.* is missing: {NODE_IMAGE.reference}") as told:
        world.provider.start()
    assert told.value.hint.endswith("./inv setup")
    assert (world.engine.networks, world.engine.volumes, world.program.called) == ({}, {}, [])


def test_why_a_creation_failed_is_told_even_if_its_clean_up_fails_too(world: World) -> None:
    world.program.broken, world.program.output = f"{world.program.creates} delete", "ERROR: no room"
    with pytest.raises(LeftoverError, match=r"(?s)^Cluster demo could not be created\..*no room.*container demo") as told:
        world.provider.start()
    assert told.value.hint == "./inv delete"


def test_who_stops_a_creation_is_told_what_is_left_of_it(world: World) -> None:
    def interrupted(_node: object, *argv: str) -> None:
        if argv == ("touch", world.provider.mark):
            raise KeyboardInterrupt

    world.engine.on_run = interrupted
    world.program.broken = "delete"
    with pytest.raises(LeftoverError, match=r"^Parts of cluster demo could not be deleted: container demo"):
        world.provider.start()
