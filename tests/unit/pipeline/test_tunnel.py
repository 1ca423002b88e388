"""A tunnel is open until Ctrl-C, and only to a service that is there."""

import pytest

from kubetasks.errors import ExposeError
from kubetasks.pipeline import probe, service
from tests.unit.kube.answers import recorded
from tests.unit.kube.fakes import FakeKube
from tests.unit.pipeline.fakes import FakeProvider, OwnProvider, run_on

SERVICE = recorded("service")


class TunnelProvider(OwnProvider):
    """A cluster whose addresses need a tunnel."""

    tunnel_line = "minikube tunnel"

    def __init__(self) -> None:
        super().__init__(changed=False)
        self.opened = 0

    def tunnel(self) -> None:
        self.opened += 1
        raise KeyboardInterrupt


def kube() -> FakeKube:
    return FakeKube(Service=[{**SERVICE, "status": {"loadBalancer": {"ingress": [{"ip": "10.96.0.9"}]}}}])


def test_ctrl_c_closes_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "first_answering", lambda _app, known: next(iter(known), None))
    provider = TunnelProvider()
    service.tunnel(run_on(provider, kube()))
    assert "Ctrl-C closes it" in (told := capsys.readouterr().err)
    assert told.endswith("The tunnel is closed.\n")
    assert provider.opened == 1


def test_without_a_service_none_is_opened() -> None:
    provider = TunnelProvider()
    with pytest.raises(ExposeError, match="There is no service") as told:
        service.tunnel(run_on(provider, FakeKube()))
    assert told.value.hint == "./inv expose"
    assert provider.opened == 0


@pytest.mark.promise("`minikube tunnel`")
def test_where_no_tunnel_is_needed_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    service.tunnel(run_on(FakeProvider(), FakeKube()))
    assert capsys.readouterr().err == "Cluster theirs needs no tunnel: ./inv service prints the address.\n"


def test_under_dry_its_line_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    provider = TunnelProvider()
    service.tunnel(run_on(provider, kube(), dry=True))
    assert (capsys.readouterr().out, provider.opened) == ("minikube tunnel\n", 0)
