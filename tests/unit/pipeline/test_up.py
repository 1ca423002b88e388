"""`up`: the image is built beside the cluster that is being created."""

import threading
from collections.abc import Callable

import pytest

from kubetasks.engine import image
from kubetasks.engine.image import Image
from kubetasks.errors import EngineError, ImageError
from kubetasks.kube.service import Address
from kubetasks.pipeline import app, cluster, seen
from kubetasks.pipeline.desired import Desired
from kubetasks.pipeline.run import Run
from tasks import PROJECT
from tests.unit.pipeline.fakes import OwnProvider, run_on

MADE = Image(PROJECT.application, "0" * 12, "base")


@pytest.mark.parametrize("created", [False, True])
def test_a_build_ends_with_the_creation_that_it_accompanies(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], created: bool
) -> None:
    building, ended = threading.Event(), threading.Event()

    def build(_engine: object, _image: object, _names: object, on_line: Callable[[str], None]) -> None:
        try:
            while True:
                on_line("Step 1/9")
                building.set()
        except EngineError:
            ended.set()
            raise

    def interrupted(*_: object) -> bool:
        assert building.wait(10)
        raise KeyboardInterrupt

    made = prepared(monkeypatch)
    monkeypatch.setattr(image, "build", build)
    if created:
        monkeypatch.setattr(threading.Thread, "join", once(interrupted, threading.Thread.join))
    monkeypatch.setattr(cluster, "ensure", (lambda _run: True) if created else interrupted)
    with pytest.raises(KeyboardInterrupt):
        app.up(made)
    assert ended.is_set(), "nothing of it comes after a clean-up that follows"
    assert "abandoned" not in capsys.readouterr().err


def test_a_build_that_fails_is_told_while_the_cluster_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()

    def build(*_: object) -> None:
        raise ImageError("It cannot be built.", "Fix it")

    def say(text: str) -> None:
        if text == "It cannot be built.\n  Fix it":
            told.set()

    def ensure(_run: object) -> bool:
        assert told.wait(10)
        return True

    made = prepared(monkeypatch)
    monkeypatch.setattr(made.report, "say", say)
    monkeypatch.setattr(image, "build", build)
    monkeypatch.setattr(cluster, "ensure", ensure)
    with pytest.raises(ImageError):
        app.up(made)


@pytest.mark.parametrize(
    ("deployed", "order"),
    [
        (False, [(Desired(MADE, exposed=True, replicas=3), MADE.build, "always")]),
        (
            True,
            [
                (Desired(image=MADE), "", "never"),
                (Desired(exposed=True), "", "if changed"),
                (Desired(replicas=3), MADE.build, "always"),
            ],
        ),
    ],
)
def test_all_is_applied_before_the_first_wait_unless_something_serves_that_could_suffer(
    monkeypatch: pytest.MonkeyPatch, deployed: bool, order: list[tuple[object, ...]]
) -> None:
    done: list[tuple[object, ...]] = []

    def converge(_run: Run, wanted: Desired, build: str = "", serve: str = "if changed") -> None:
        done.append((wanted, build, serve))

    monkeypatch.setattr(app, "_side_by_side", lambda _run: MADE)
    monkeypatch.setattr(app, "converge", converge)
    monkeypatch.setattr(seen, "deployment", lambda _run: {"kind": "Deployment"} if deployed else None)
    monkeypatch.setattr(seen, "address", lambda _run: Address("http://127.0.0.1:8080/", "mapped port"))
    assert app.up(prepared(monkeypatch)) == (MADE, "http://127.0.0.1:8080/")
    assert done == order


def test_a_provider_without_docker_env_does_not_take_a_nodes_image_for_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = prepared(monkeypatch)
    monkeypatch.setattr(cluster, "ensure", lambda _run: pytest.fail("no cluster may be created for it"))
    monkeypatch.setattr(made.engine, "image_id", lambda reference: reference)
    made.host_engine = Engine()  # type: ignore[assignment]
    monkeypatch.setenv("MINIKUBE_ACTIVE_DOCKERD", "simple-server")
    with pytest.raises(ImageError, match="uses the engine of node simple-server") as told:
        app.deploy(made)
    assert told.value.hint.startswith("unset DOCKER_HOST")
    monkeypatch.delenv("MINIKUBE_ACTIVE_DOCKERD")
    with pytest.raises(ImageError, match="has not been built"):
        app.deploy(made)


def prepared(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A context with an engine that has no image."""
    made = run_on(OwnProvider(changed=True))
    made.host_engine = made.engine = Engine()  # type: ignore[assignment]
    monkeypatch.setattr(Run, "image", MADE)
    return made


def once(first: Callable[..., object], then: Callable[..., object]) -> Callable[..., object]:
    """What `first` does, and `then` from the second time on."""
    calls = iter([first])
    return lambda *given: next(calls, then)(*given)


class Engine:
    """It has no image."""

    def image_tags(self, _repository: str) -> list[str]:
        return []

    def image_id(self, _reference: str) -> None:
        pass
