"""An existing cluster: how an image reaches it, and what is known about it."""

from pathlib import Path
from typing import Any

import pytest

from kubetasks.engine.image import Delivered
from kubetasks.errors import EngineError, ImageError
from kubetasks.providers.existing import Existing
from tasks import PROJECT
from tests.unit.configured import door
from tests.unit.engine.fakes import DIGEST, FakeEngine
from tests.unit.failing import raising
from tests.unit.providers.fakes import IMAGE

NAME = f"host:5000/team/{IMAGE.reference}"


def existing(engine: Any = None, *, dry: bool = False, kubeconfig: str = "", registry: str = "") -> Existing:
    return Existing("theirs", PROJECT.application, door(dry=dry), lambda: engine, kubeconfig, registry)


@pytest.fixture
def engine() -> Any:
    return FakeEngine(IMAGE.reference)


def test_nodes_pull_by_digest_what_is_pushed(engine: Any, capsys: pytest.CaptureFixture[str]) -> None:
    dry, theirs = (existing(engine, registry="host:5000/team", dry=dry) for dry in (True, False))
    assert dry.deliver(IMAGE) == theirs.delivered(IMAGE) == Delivered(NAME, pulled=True)
    commands = [f"docker tag {IMAGE.reference} {NAME}", f"docker push {NAME}"]
    assert (capsys.readouterr().out.splitlines(), engine.pushed) == (commands, [])
    assert theirs.deliver(IMAGE) == Delivered(f"{NAME}@{DIGEST}", pulled=True)
    assert engine.pushed == [NAME]
    assert NAME in engine.images
    assert theirs.delivered(IMAGE) == Delivered(f"{NAME}@{DIGEST}", pulled=True), (
        "what it has pushed, a job need not run again for"
    )


@pytest.mark.parametrize("gone", [False, True])
def test_a_push_that_fails_leaves_no_name_behind_and_says_why(engine: Any, gone: bool) -> None:
    engine.push = raising(ImageError("The registry rejected it."))
    if gone:
        engine.remove_image = raising(EngineError("It has ended."))
    with pytest.raises(ImageError, match="rejected it"):
        existing(engine, registry="host:5000/team").deliver(IMAGE)
    assert (NAME in engine.images) == gone


def test_without_a_registry_somebody_else_loads_it(capsys: pytest.CaptureFixture[str]) -> None:
    told = f"No registry is set (INVOKE_APP_REGISTRY): the owner of the nodes must have loaded {IMAGE.reference}."
    assert existing().deliver(IMAGE) == existing().delivered(IMAGE) == Delivered(IMAGE.reference, pulled=False)
    assert capsys.readouterr().err == f"{told}\n"


@pytest.mark.parametrize(
    ("given", "variable", "path"),
    [("/given", "/variable", "/given"), ("", "/variable", "/variable"), ("", "", str(Path.home() / ".kube" / "config"))],
)
def test_its_kubeconfig_is_the_given_one_or_kubectls(
    monkeypatch: pytest.MonkeyPatch, given: str, variable: str, path: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", variable)
    theirs = existing(kubeconfig=given)
    facts = theirs.cluster()
    assert (theirs.kubeconfig, facts.kubeconfig, facts.context) == (path, path, "theirs")
    assert "kubectl --context theirs version must answer" in facts.unreachable_hint
    assert (theirs.kubectl, theirs.phase(), theirs.remove_images(set)) == (("--context", "theirs"), "running", [])
    assert theirs.shared
