"""`up`: the image is built beside the cluster that is being created, and what serves is not put at risk."""

import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext

import pytest

from kubetasks.errors import EngineError, ExposeError, ImageError
from kubetasks.pipeline import app
from kubetasks.providers.base import Cluster
from tests.unit.engine.fakes import FakeEngine
from tests.unit.failing import raising
from tests.unit.kube.fakes import LiveKube
from tests.unit.pipeline.fakes import OwnProvider, run_on


class Creating(OwnProvider):
    """Its cluster is being created until `creating` returns."""

    def __init__(self, creating: Callable[[], object]) -> None:
        super().__init__(changed=True, phase="missing")
        self._creating = creating
        self.created = threading.Event()

    def start(self) -> tuple[Cluster, bool]:
        self._creating()
        self.created.set()
        return super().start()


@pytest.fixture
def interruptible() -> Iterator[None]:
    """A shell's background job ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("created", [False, True])
def test_a_build_ends_with_the_creation_that_it_accompanies(capsys: pytest.CaptureFixture[str], created: bool) -> None:
    building, ended = threading.Event(), threading.Event()

    def build(on_line: Callable[[str], None]) -> None:
        if created:
            assert provider.created.wait(10)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        try:
            while True:
                on_line("Step 1/9")
                building.set()
        except EngineError:
            ended.set()
            raise

    def creating() -> None:
        if not created:
            assert building.wait(10)
            raise KeyboardInterrupt

    provider, engine = Creating(creating), FakeEngine()
    engine.building = build
    with pytest.raises(KeyboardInterrupt):
        app.up(run_on(provider, LiveKube(), engine=engine))
    assert ended.is_set(), "nothing of it comes after a clean-up that follows"
    assert "abandoned" not in capsys.readouterr().err


def test_a_build_that_fails_is_told_while_the_cluster_is_created(monkeypatch: pytest.MonkeyPatch) -> None:
    told = threading.Event()

    def say(text: str) -> None:
        if text.endswith("It cannot be built.\n  ./inv setup"):  # the base image is missing too
            told.set()

    engine = FakeEngine()
    engine.building = raising(ImageError("It cannot be built.", "Fix it"))
    run = run_on(Creating(lambda: told.wait(10)), LiveKube(), engine=engine)
    monkeypatch.setattr(run.report, "say", say)
    with pytest.raises(ImageError):
        app.up(run)
    assert told.is_set()


def test_all_is_applied_before_the_first_wait_unless_something_serves_that_could_suffer(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, kube = OwnProvider(changed=True, phase="missing"), LiveKube()
    run = run_on(provider, kube, engine=FakeEngine())
    kube.serve(monkeypatch)

    def done(replicas: int, build: str = "") -> list[str]:
        kube.build = build
        kube.done.clear()
        run.settings = dataclasses.replace(run.settings, replicas=replicas)
        with pytest.raises(ExposeError, match=f"serves build {build}, not {run.image.build}") if build else nullcontext():
            assert app.up(run) == (run.image, "http://172.18.255.223:8080/")
        return [*kube.done]

    budget, deployment, service = (f"{kind}/simple-server" for kind in ("poddisruptionbudget", "deployment", "service"))
    assert done(3, "another") == ["nodes", budget, deployment, service, "scale to 3", "pods", "asked"]
    assert sorted(provider.called) == [f"preload {run.image.reference}", "start"], "side by side"
    assert done(2, "another") == ["nodes", budget, deployment, "pods", service, "asked", "scale to 2", "pods", "asked"]
    unchanged = ["nodes", budget, deployment, "pods", service, "asked", "pods", "asked"]
    assert (done(2, "another"), done(2)) == (unchanged, unchanged)


def test_a_provider_without_docker_env_does_not_take_a_nodes_image_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = OwnProvider(changed=True)
    run = run_on(provider, LiveKube(), engine=FakeEngine())
    monkeypatch.setenv("MINIKUBE_ACTIVE_DOCKERD", "demo")
    run.engine = FakeEngine(run.image.reference)  # type: ignore[assignment]
    with pytest.raises(ImageError, match="this shell's docker uses the engine of node demo") as told:
        app.deploy(run)
    assert told.value.hint.startswith("unset DOCKER_HOST")
    assert told.value.hint.endswith("./inv build")
    monkeypatch.delenv("MINIKUBE_ACTIVE_DOCKERD")
    with pytest.raises(ImageError, match="has not been built"):
        app.deploy(run)
    assert provider.called == [], "no cluster may be created for it"
    run.host_engine = run.engine
    monkeypatch.setenv("MINIKUBE_ACTIVE_DOCKERD", "demo")
    assert app.deploy(run) == run.image
