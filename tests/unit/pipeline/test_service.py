"""How long `expose` waits for which address, and a forwarded port for a service without an address."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kubetasks.kube import kubectl
from kubetasks.kube.client import Object
from kubetasks.pipeline import app, probe
from kubetasks.pipeline.service import Forward
from kubetasks.pipeline.waits import AddressCheck
from kubetasks.project.application import Application
from kubetasks.terminal.wait import Done, Pending
from tests.unit.pipeline.living import BALANCED, World, world

MAPPED, BALANCER = "http://127.0.0.1:8080/", f"http://{BALANCED}:8080/"


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """An application whose service has no address from the load balancer yet."""
    made = world(tmp_path, monkeypatch)
    app.up(made.run)
    made.kube.one("Service")["status"] = {}
    made.run.forget("seen")
    return made


def balance(there: World) -> None:
    there.kube.one("Service")["status"] = {"loadBalancer": {"ingress": [{"ip": BALANCED}]}}


def test_an_address_is_asked_ever_more_patiently_and_impatiently_once_there_is_a_new_one(there: World) -> None:
    asked: list[tuple[str, float]] = []

    def ask(app: Application, url: str, _path: str, seconds: float, **_: bool) -> Object | None:
        if app.pod_key:
            asked.append((url, round(seconds, 1)))
        return None

    there.patch.setattr(probe, "ask", ask)
    check = AddressCheck(there.run, 0)
    for number in range(9):
        if number == 8:
            balance(there)
        check()
        there.run.forget("seen")
    patience = [0.3, 0.6, 0.9, 1.2, 1.5, 1.8, probe.SECONDS, probe.SECONDS]
    assert asked == [*((MAPPED, seconds) for seconds in patience), (MAPPED, 0.3), (BALANCER, 0.3)]


def test_an_address_that_comes_late_has_its_time_to_answer_too(there: World) -> None:
    pods = sorted(pod["metadata"]["name"] for pod in there.kube.all("Pod"))
    silent = {BALANCER}
    there.patch.setattr(probe, "health", lambda _app, url, *_: None if url in silent else pods[0])
    now = 1.0
    check = AddressCheck(there.run, 0, lambda: now)
    assert check() == Pending("no load balancer has given it an address yet")
    now = 9.0
    balance(there)
    there.run.forget("seen")
    assert check() == Pending("waiting for the other address")
    silent.clear()
    now = 10.0
    assert check() == Done()
    assert [one.way for one in check.answering] == ["mapped port", "load balancer"]


def test_without_pods_nobody_waits_any_longer_for_a_load_balancer(there: World) -> None:
    app.scale(there.run, 0)
    there.kube.one("Service")["status"] = {}
    there.run.forget("seen")
    now = 1.0
    check = AddressCheck(there.run, 0, lambda: now)
    assert check() == Pending("no load balancer has given it an address yet")
    now = 100.0
    assert check() == Done()


def test_a_forwarded_port_leads_to_one_pod_while_it_gets_requests_and_ends_with_who_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = world(tmp_path, monkeypatch, service="ClusterIP")
    app.up(there.run)
    opened: list[str] = []

    @contextmanager
    def forward(argv: list[str], _environment: object) -> Iterator[str]:
        opened.append(argv[-1])
        yield "127.0.0.1:40000"
        opened.append("closed")

    monkeypatch.setattr(kubectl, "forward", forward)
    answering = {"http://127.0.0.1:40000/"}
    monkeypatch.setattr(probe, "health", lambda _app, url: "pod" if url in answering else None)
    asked = Forward(lambda: there.run)
    assert {asked.url(), asked.url()} == answering
    assert opened == [":8080"]
    there.edit("source/Dockerfile", lambda text: f"{text}#\n")
    there.run.forget("images", "seen")
    app.up(there.run)
    assert {asked.url()} == answering
    slow = iter([None, "pod"])
    with monkeypatch.context() as once:
        once.setattr(probe, "health", lambda *_: next(slow))
        asked.url()
    assert len(opened) == 3, "one slow answer cuts no connection"
    answering.clear()  # as if kubectl had exited
    asked.url()
    assert opened == [":8080", *["closed", "40000:8080"] * 2]
    del asked
    assert opened[-1] == "closed"
