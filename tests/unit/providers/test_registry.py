"""The registry of a kind cluster: deliveries through it, also if they fail or if it was restarted or removed."""

import pytest

from kubetasks.engine.image import Delivered
from kubetasks.errors import EngineError, ImageError
from kubetasks.project import versions
from kubetasks.providers.registry import Registry
from tests.unit.engine.fakes import DIGEST
from tests.unit.failing import raising
from tests.unit.providers.fakes import IMAGE, World


@pytest.fixture
def kind(kind: World) -> World:
    """A world of kind whose engine has the registry's image."""
    kind.engine.images[versions.REGISTRY] = "sha256:2"
    return kind


CTR = "level=warning msg=DEPRECATION\nctr: failed to resolve reference"


@pytest.mark.parametrize(
    ("failing", "words"),
    [
        ("push", "connection refused\n"),
        ("pull", "\nNode demo-control-plane cannot pull from registry demo-registry: ctr: failed to resolve"),
    ],
)
def test_a_delivery_that_fails_is_told_and_leaves_no_name_behind_and_the_image_is_loaded_instead(
    kind: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], failing: str, words: str
) -> None:
    kind.provider.start()
    images = dict(kind.engine.images)
    if failing == "push":
        monkeypatch.setattr(kind.engine, "push", raising(ImageError("Pushing it failed: connection refused")))
    else:
        refused = raising(EngineError(f"`sh -ec ctr` in it failed: {CTR}"))
        kind.engine.on_run = lambda *argv: refused() if "pull" in argv[-1] else None
    assert kind.provider.deliver(IMAGE) == Delivered(IMAGE.reference, pulled=False)
    assert sorted(kind.engine.loaded) == sorted(IMAGE.names)
    assert words in capsys.readouterr().err
    assert kind.engine.images == images


def test_nodes_pull_what_was_pushed_whatever_else_has_its_name_by_now(kind: World) -> None:
    provider = kind.make(nodes=2)
    provider.start()
    assert "demo-registry" in kind.engine.nodes
    provider.deliver(IMAGE)
    pulls = [argv[-1] for argv in kind.engine.ran if "pull" in argv[-1]]
    assert len(pulls) == 2
    assert all(f"pull --plain-http demo-registry:5000/simple-server@{DIGEST};" in script for script in pulls)
    assert [words for words in kind.program.words if words == "load"] == []


def test_a_registry_that_was_started_again_or_removed_gets_the_image_again(kind: World) -> None:
    """The registry keeps images in memory, and the tasks of one invocation share the provider."""
    kind.provider.start()
    for _ in range(2):
        kind.provider.deliver(IMAGE)
    assert len(kind.engine.pushed) == 1
    kind.provider.stop()
    assert kind.engine.nodes["demo-registry"].status == "exited"
    kind.provider.start()
    kind.provider.deliver(IMAGE)
    assert len(kind.engine.pushed) == 2
    del kind.engine.nodes["demo-registry"]
    kind.provider.deliver(IMAGE)
    assert len(kind.engine.pushed) == 3
    kind.provider.delete()
    assert kind.engine.nodes == {}, "it goes with its cluster"


@pytest.mark.parametrize("abandoned", [False, True])
def test_while_a_cluster_is_created_its_nodes_pull_as_soon_as_they_can(
    kind: World, monkeypatch: pytest.MonkeyPatch, abandoned: bool
) -> None:
    kind.provider.start()
    monkeypatch.setattr(Registry, "listens", lambda _: True)
    refused, tries = raising(EngineError("containerd does not run yet")), list[str]()

    def pull(*argv: str) -> None:
        if "pull" in argv[-1]:
            tries.append(argv[-1])
            if len(tries) < 3:
                refused()

    kind.engine.on_run = pull
    kind.provider.preload(IMAGE, lambda: abandoned and bool(tries))
    assert (len(kind.engine.pushed), len(tries)) == (1, 1 if abandoned else 3)


def test_under_dry_a_registry_that_would_be_removed_is_created_again(kind: World, capsys: pytest.CaptureFixture[str]) -> None:
    kind.provider.start()
    dry = kind.make(dry=True)
    dry.delete()
    assert "docker rm --force --volumes demo-registry\n" in capsys.readouterr().out
    dry.start()
    assert "docker run --detach --name demo-registry " in capsys.readouterr().out
