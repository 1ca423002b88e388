"""Where the service answers, and who does: from a recorded service, and from a real server on a free port."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from kubetasks.kube import endpoints
from simple_server.app import create_app
from simple_server.identity import Identity

RECORDED = Path(__file__).parent / "recorded" / "service.json"


class Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with make_server("127.0.0.1", 0, create_app(Identity("pod-1", "build-1")), handler_class=Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_the_mapped_port_comes_first_and_only_where_the_service_has_it() -> None:
    service = json.loads(RECORDED.read_text())
    balanced = service["status"]["loadBalancer"]["ingress"][0]["ip"]
    found = endpoints.candidates(service, (30080, 8081))
    assert [end.url for end in found] == ["http://127.0.0.1:8081/", f"http://{balanced}:8080/"]
    assert [end.way for end in endpoints.candidates(service, (30081, 8081))] == ["load balancer"]


def test_a_service_without_an_address_yet_has_no_candidates() -> None:
    service = json.loads(RECORDED.read_text())
    service["status"] = {"loadBalancer": {}}
    assert endpoints.candidates(service, None) == []


def test_node_ports_serve_where_there_is_nothing_better() -> None:
    service = json.loads(RECORDED.read_text())
    service["status"] = {}
    assert endpoints.candidates(service, None, ["10.0.0.1"])[0].url == "http://10.0.0.1:30080/"


def test_asking_for_health_names_the_pod_and_does_not_count(url: str) -> None:
    assert endpoints.ask(url, endpoints.HEALTH) == {"status": "ok", "pod": "pod-1", "build": "build-1"}
    assert endpoints.spread(url, 5).counts == {"pod-1": 5}


def test_the_spread_tells_who_answered_and_how_many_had_no_answer(url: str) -> None:
    spread = endpoints.spread(url, 3)
    assert (dict(spread.requests), spread.builds, spread.failed) == ({"pod-1": 3}, {"pod-1": "build-1"}, 0)
    assert endpoints.spread("http://127.0.0.1:1/", 2).failed == 2


def test_what_is_not_our_server_is_no_answer(url: str) -> None:
    assert endpoints.ask(url, "/nowhere") is None


@pytest.mark.parametrize(("pods", "requests"), [(1, 1), (2, 21), (3, 37)])
def test_enough_requests_miss_a_pod_once_in_a_million_times(pods: int, requests: int) -> None:
    assert endpoints.enough(pods) == requests
    assert pods * ((pods - 1) / pods) ** requests <= 1e-6
