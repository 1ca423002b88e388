"""Providers for unit tests; the same actions run on real ones in tests/core and tests/thorough."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

from kubetasks.engine.client import AbsentError
from kubetasks.engine.image import Delivered, Image
from kubetasks.errors import ClusterError
from kubetasks.pipeline.run import Run
from kubetasks.project.application import Application
from kubetasks.providers.base import Cluster, Phase, Provider
from kubetasks.providers.own import Own
from kubetasks.setup.requirements import Requirement
from kubetasks.terminal.report import Report
from tasks import PROJECT
from tests.unit.configured import configured
from tests.unit.engine.fakes import FakeEngine
from tests.unit.kube.fakes import FakeKube

FACTS = Cluster(
    kubeconfig="kubeconfig",
    context="context",
    node_ports=False,
    unreachable_hint="look",
    credentials_hint="log in",
)


class FakeProvider(Provider):
    """A cluster of others: it has no lifecycle."""

    name = "theirs"
    kubeconfig = "/nowhere/kubeconfig"
    kubectl: tuple[str, ...] = ("--context", "theirs")
    requirements: tuple[Requirement, ...] = ()
    node_port: int | None = None
    shared = True
    program = ""
    environment: Mapping[str, str] = {}

    def __init__(self, phase: Phase | None = "running") -> None:
        self._phase = phase

    def phase(self) -> Phase:
        if self._phase is None:
            raise AbsentError("No container engine answers.")
        return self._phase

    def cluster(self) -> Cluster:
        return FACTS

    def service_line(self, kubectl: Sequence[str]) -> str:
        return f"kubectl {' '.join(kubectl)}"

    def deliver_lines(self, image: Image) -> Sequence[str]:
        return (f"load {image.reference}",)

    def delivered(self, image: Image) -> Delivered:
        return Delivered(image.reference, pulled=False)

    def deliver(self, image: Image) -> Delivered:
        return self.delivered(image)

    def supply(self, references: Sequence[str]) -> None:
        """A cluster of others pulls its own."""

    def supply_lines(self, references: Sequence[str]) -> Sequence[str]:
        return [f"load {one}" for one in references]

    def remove_images(self, used: Callable[[], set[str]]) -> list[str]:  # noqa: ARG002
        return []


class OwnProvider(FakeProvider):
    """A cluster of our own, which `changed` says was created or started."""

    shared = False

    def __init__(self, *, changed: bool, phase: Phase = "running") -> None:
        super().__init__(phase)
        self.facts = FACTS
        self.broken: ClusterError | None = None
        self._changed = changed
        self.called: list[str] = []

    def start_lines(self) -> Sequence[str]:
        return ("start",)

    def ended(self) -> ClusterError | None:
        return self.broken

    def start(self) -> tuple[Cluster, bool]:
        self.called.append("start")
        return self.facts, self._changed

    def preload(self, image: Image, abandoned: Callable[[], bool]) -> None:  # noqa: ARG002
        self.called.append(f"preload {image.reference}")

    def stop(self) -> bool:
        self.called.append("stop")
        return True

    def delete(self) -> bool:
        self.called.append("delete")
        return True


Own.register(OwnProvider)  # what isinstance asks


class RefusedError(Exception):
    """Somebody was asked, and did not agree."""


class Refusing(Report):
    """Nobody agrees."""

    def agrees(self, question: str) -> bool:
        raise RefusedError(question)


def run_on(
    provider: FakeProvider,
    kube: FakeKube | None = None,
    *,
    dry: bool = False,
    app: Application = PROJECT.application,
    engine: FakeEngine | None = None,
) -> Run:
    """A run in which nobody agrees to a change of the cluster of others."""
    project = dataclasses.replace(PROJECT, application=app)
    environment = {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}  # a test's own: conftest.py
    made = Run(configured(app.source, environment, project), Refusing(dry=dry))
    made.provider = provider
    made.kube = kube or FakeKube()
    if engine:
        made.engine = made.host_engine = engine  # type: ignore[assignment]
    return made
