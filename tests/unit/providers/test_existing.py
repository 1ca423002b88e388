"""A cluster of others: how an image reaches it, and what of it is known."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubetasks import providers
from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import EngineError, ImageError
from kubetasks.providers.base import Cluster
from kubetasks.providers.existing import Existing
from kubetasks.providers.kind.provider import Kind
from kubetasks.providers.minikube.provider import Minikube
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.unit.configured import configured

IMAGE = Image(PROJECT.application, "0123456789ab", "base")
NAME = f"host:5000/team/{IMAGE.reference}"
DIGEST = f"sha256:{'0' * 64}"


class FakeEngine:
    """`known` is the digest that the registry has already; a push fails if `refused`."""

    def __init__(self, known: str | None = None, *, refused: bool = False, gone: bool = False) -> None:
        self.done: list[tuple[str, ...]] = []
        self._known, self._refused, self._gone = known, refused, gone

    def pushed_digest(self, reference: str, name: str) -> str | None:
        self.done.append(("look", reference, name))
        return self._known

    def tag(self, reference: str, name: str) -> None:
        self.done.append(("tag", reference, name))

    def push(self, name: str, _at: object) -> str:
        self.done.append(("push", name))
        if self._refused:
            raise ImageError("The registry did not take it.")
        return DIGEST

    def remove_image(self, name: str) -> None:
        self.done.append(("remove", name))
        if self._gone:
            raise EngineError("It has ended.")


def existing(engine: Any = None, *, dry: bool = False, **settings: Any) -> Existing:
    return Existing(configured(provider="existing", context="theirs", **settings), Report(dry=dry), lambda: engine)


@pytest.mark.parametrize(
    ("engine", "done"),
    [
        (FakeEngine(DIGEST), [("look", IMAGE.reference, NAME)]),
        (FakeEngine(), [("look", IMAGE.reference, NAME), ("tag", IMAGE.reference, NAME), ("push", NAME)]),
    ],
)
def test_nodes_pull_by_digest_what_is_pushed_unless_it_is_there(engine: FakeEngine, done: list[tuple[str, ...]]) -> None:
    theirs = existing(engine, registry="host:5000/team")
    assert theirs.deliver(IMAGE) == Delivered(f"{NAME}@{DIGEST}", pulled=True)
    assert engine.done == done
    assert theirs.delivered(IMAGE) == Delivered(NAME, pulled=True)
    assert theirs.deliver_lines(IMAGE) == (f"docker tag {IMAGE.reference} {NAME}", f"docker push {NAME}")


@pytest.mark.parametrize("gone", [False, True])
def test_a_push_that_fails_leaves_no_name_behind_and_says_why(gone: bool) -> None:
    engine = FakeEngine(refused=True, gone=gone)
    with pytest.raises(ImageError, match="did not take it"):
        existing(engine, registry="host:5000/team").deliver(IMAGE)
    assert engine.done[-1] == ("remove", NAME)


def test_without_a_registry_somebody_else_loads_it(capsys: pytest.CaptureFixture[str]) -> None:
    told = f"No registry is set (INVOKE_APP_REGISTRY): the owner of the nodes must have loaded {IMAGE.reference}."
    assert existing().deliver(IMAGE) == existing().delivered(IMAGE) == Delivered(IMAGE.reference, pulled=False)
    assert capsys.readouterr().err == f"{told}\n"
    assert (existing().deliver_lines(IMAGE), existing(dry=True).deliver_lines(IMAGE)) == ((), (f"# {told}",))


@pytest.mark.parametrize(
    ("given", "variable", "path"),
    [("/given", "/variable", "/given"), ("", "/variable", "/variable"), ("", "", str(Path.home() / ".kube" / "config"))],
)
def test_its_kubeconfig_is_the_given_one_or_kubectls(
    monkeypatch: pytest.MonkeyPatch, given: str, variable: str, path: str
) -> None:
    monkeypatch.setenv("KUBECONFIG", variable)
    theirs = existing(kubeconfig=given)
    assert (theirs.kubeconfig, theirs.kubectl, theirs.phase(), theirs.remove_images(set)) == (
        path,
        ("--context", "theirs"),
        "running",
        [],
    )
    assert theirs.cluster() == Cluster(
        kubeconfig=path,
        context="theirs",
        unreachable_hint="kubectl config get-contexts lists the contexts; kubectl --context theirs version must answer",
        credentials_hint="Its credentials may have expired, or its kubeconfig is out of date: log in to the cluster again",
    )


@pytest.mark.parametrize(("name", "kind"), [("kind", Kind), ("minikube", Minikube), ("existing", Existing)])
def test_the_settings_choose_the_provider(name: str, kind: type) -> None:
    found = providers.select(configured(provider=name), Report(), lambda: SimpleNamespace())  # type: ignore[arg-type,return-value]
    assert type(found) is kind
    assert (found.shared, found.service_line(("--context", "a"))[:7]) == (
        kind is Existing,
        "minikub" if kind is Minikube else "kubectl",
    )
