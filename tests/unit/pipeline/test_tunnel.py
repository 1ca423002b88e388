"""A tunnel is open until Ctrl-C, shows the address that it gives, and is closed however that ends."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kubetasks.errors import ExposeError
from kubetasks.pipeline import probe, service
from tests.unit.pipeline.fakes import FakeKube, FakeProvider, OwnProvider, run_on

SERVICE = json.loads((Path(__file__).parents[1] / "kube" / "recorded" / "service.json").read_text())
URL = "http://10.96.0.9:8080/"


class Through:
    """A tunnel; `ended` is raised when somebody waits for its end."""

    def __init__(self, problem: str, ended: BaseException) -> None:
        self._problem, self._ended = problem, ended

    def problem(self) -> str:
        return self._problem

    def wait(self) -> None:
        raise self._ended


class TunnelProvider(OwnProvider):
    """A cluster whose addresses need a tunnel."""

    tunnel_line = "minikube tunnel"

    def __init__(self, problem: str = "") -> None:
        super().__init__(changed=False)
        self._problem = problem
        self.states: list[str] = []

    @contextmanager
    def tunnel(self) -> Iterator[Through]:
        self.states.append("open")
        try:
            yield Through(self._problem, KeyboardInterrupt())
        finally:
            self.states.append("closed")


def kube(**changed: Any) -> FakeKube:
    return FakeKube(Service=[{**SERVICE, "status": {"loadBalancer": {"ingress": [{"ip": "10.96.0.9"}]}}, **changed}])


@pytest.fixture(autouse=True)
def answering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "answering", lambda _app, known: known)
    monkeypatch.setattr(probe, "first_answering", lambda _app, known: next(iter(known), None))


def test_it_prints_the_address_and_is_closed_by_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    provider = TunnelProvider()
    service.tunnel(run_on(provider, kube()))
    told = capsys.readouterr()
    assert told.out == f"{URL}\n"
    assert told.err.splitlines()[-2:] == ["Ctrl-C closes the tunnel.", "The tunnel is closed."]
    assert provider.states == ["open", "closed"]


def test_a_tunnel_without_a_route_says_why_and_is_closed() -> None:
    provider = TunnelProvider("router: error adding Route: not permitted")
    with pytest.raises(ExposeError, match="gives no address: router: error adding Route: not permitted"):
        service.tunnel(run_on(provider, kube()))
    assert provider.states == ["open", "closed"]


def test_without_a_service_none_is_opened() -> None:
    provider = TunnelProvider()
    with pytest.raises(ExposeError, match="There is no service") as told:
        service.tunnel(run_on(provider, FakeKube()))
    assert told.value.hint == "./inv expose"
    assert provider.states == []


def test_an_interruption_before_there_is_an_address_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(service, "_wait_for_tunnel", interrupted)
    provider = TunnelProvider()
    with pytest.raises(KeyboardInterrupt):
        service.tunnel(run_on(provider, kube()))
    assert provider.states == ["open", "closed"]


def test_where_no_tunnel_is_needed_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    service.tunnel(run_on(FakeProvider(), FakeKube()))
    assert capsys.readouterr().err == "Cluster theirs needs no tunnel: ./inv service prints the address.\n"


def test_under_dry_its_line_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    provider = TunnelProvider()
    service.tunnel(run_on(provider, kube(), dry=True))
    assert (capsys.readouterr().out, provider.states) == ("minikube tunnel\n", [])
