"""The addresses and pods of a service that was recorded from a real API server."""

from typing import Any

import pytest

from kubetasks.kube import service
from tests.unit.kube.answers import recorded


def node(address: str) -> dict[str, Any]:
    return {"status": {"addresses": [{"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": address}]}}


MAPPED, BALANCED = "mapped port at 127.0.0.1:8081", "load balancer at 172.18.255.223:8080"
TWO_PORTS = {"ports": [*recorded("service")["spec"]["ports"], {"name": "metrics", "port": 9090, "nodePort": 30090}]}


@pytest.mark.parametrize(
    ("change", "node_port", "nodes", "found"),
    [
        ({}, 30080, [], [MAPPED, BALANCED]),  # the preferred one first
        ({}, 30081, [], [BALANCED]),
        ({"spec": TWO_PORTS}, 30080, [], [MAPPED, BALANCED]),  # the first port is the application's
        ({"spec": TWO_PORTS}, 30090, [], [BALANCED]),
        ({"status": {"loadBalancer": {"ingress": [{"hostname": "lb.org"}]}}}, 0, [], ["load balancer at lb.org:8080"]),
        ({"status": {"loadBalancer": {}}}, 0, [], []),
        ({"status": {}}, 0, ["10.0.0.1", "fd00::1"], ["node port at 10.0.0.1:30080", "node port at [fd00::1]:30080"]),
    ],
)
def test_where_a_service_may_answer(change: dict[str, Any], node_port: int, nodes: list[str], found: list[str]) -> None:
    addresses = service.addresses(recorded("service") | change, (node_port, 8081) if node_port else None, list(map(node, nodes)))
    assert [f"{one.way} at {one.url.removeprefix('http://').rstrip('/')}" for one in addresses] == found


def test_each_pod_is_asked_at_the_port_of_its_own_slice() -> None:
    slices = recorded("endpointslices")
    assert set(service.ready_ports(recorded("service"), slices).values()) == {8080}
    slices[0]["ports"].insert(0, {"name": "metrics", "port": 9090})
    assert set(service.ready_ports(recorded("service"), slices).values()) == {8080}
    ending = {"targetRef": {"name": "ending"}, "conditions": {"ready": False}}
    ready = {"targetRef": {"name": "new"}, "conditions": {"ready": True}}
    old = {"ports": [{"name": "", "port": 5000}], "endpoints": [ending]}
    new = {"ports": [{"port": 6000}], "endpoints": [ready]}
    assert service.ready_ports({"spec": {"ports": [{"port": 80}]}}, [old, new, {"endpoints": None}]) == {"new": 6000}


def test_what_a_selector_asks_for_and_the_pods_do_not_have_is_named() -> None:
    item: dict[str, Any] = recorded("service")
    template: dict[str, Any] = recorded("ready")["workload"]["spec"]["template"]
    assert service.unselected(item, template) == ""
    item["spec"]["selector"] |= {"app.kubernetes.io/name": "simple-sever"}
    assert service.unselected(item, template) == "app.kubernetes.io/name=simple-sever"
    assert service.unselected(item, {"metadata": {"labels": None}}).endswith("=simple-sever")
    assert service.unselected({"spec": {}}, template) == "", "one without a selector has endpoints that somebody else gives it"
