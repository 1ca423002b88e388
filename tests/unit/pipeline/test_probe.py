"""Which pod answers at an address, with a real server on a free port."""

import dataclasses
import threading
from collections.abc import Iterator
from functools import partial
from typing import ClassVar
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from kubetasks.kube.service import Address
from kubetasks.pipeline import probe
from simple_server.app import create_app
from simple_server.identity import Identity
from tasks import PROJECT


class Silent(WSGIRequestHandler):
    ports: ClassVar[list[int]] = []  # the clients' ports

    def setup(self) -> None:
        super().setup()
        self.ports.append(self.client_address[1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with make_server("127.0.0.1", 0, create_app(Identity("pod-1", "node-1", "build-1")), handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_health_names_the_pod_and_does_not_count_and_the_spread_shows_who_answered(url: str) -> None:
    assert probe.health(PROJECT.application, url) == "pod-1"
    assert probe.ask(PROJECT.application, url, "/healthz") == {"status": "ok", "pod": "pod-1", "build": "build-1"}
    row = {"pod": "pod-1", "requests": 3, "count": 3, "build": "build-1", "node": "node-1"}
    assert probe.spread(PROJECT.application, partial(probe.ask, PROJECT.application, url), 3) == [row]
    assert probe.spread(PROJECT.application, partial(probe.ask, PROJECT.application, "http://127.0.0.1:1/"), 2) == []


def test_a_count_that_is_no_number_is_left_out() -> None:
    (row,) = probe.spread(PROJECT.application, lambda: {"pod": "pod-1", "count": "many"}, 2)
    assert row["count"] == 0


def test_another_server_is_no_answer(url: str) -> None:
    assert probe.ask(PROJECT.application, url, "/nowhere") is None
    stranger = dataclasses.replace(PROJECT.application, pod_key="hostname")
    assert probe.health(stranger, url) is None


def test_an_application_whose_answers_name_no_pod_answers_by_its_status(url: str) -> None:
    stranger = dataclasses.replace(PROJECT.application, pod_key="", node_key="")
    assert probe.health(stranger, url) == ""
    assert probe.ask(stranger, url, "/nowhere") is None
    (address,) = probe.answering(stranger, [Address(url, "mapped port")], pods=["pod-2"])
    assert address.url == url
    assert probe.spread(stranger, partial(probe.ask, stranger, url), 2)[0]["requests"] == 2


def test_what_may_come_too_early_has_ports_that_no_other_request_gets(url: str) -> None:
    Silent.ports.clear()
    probe.health(PROJECT.application, url)
    probe.ask(PROJECT.application, url)
    assert [port % 2 for port in Silent.ports] == [1, 0]


def test_of_several_addresses_those_that_answer_are_found(url: str) -> None:
    closed = Address("http://127.0.0.1:1/", "node port")
    first, second = Address(url, "mapped port"), Address(url, "load balancer")
    assert probe.answering(PROJECT.application, [closed, first, second]) == [first, second]
    assert probe.first_answering(PROJECT.application, [closed, second, first]) == second
    assert probe.first_answering(PROJECT.application, [closed]) is None
