"""The address book, from a service as a real API server sent it."""

from typing import Any

from kubetasks.kube import service
from tests.unit.kube.answers import recorded


def node(address: str) -> dict[str, Any]:
    return {"status": {"addresses": [{"type": "Hostname", "address": "a"}, {"type": "InternalIP", "address": address}]}}


def test_the_mapped_port_comes_first_and_only_if_the_service_has_it() -> None:
    item: dict[str, Any] = recorded("service")
    balanced = item["status"]["loadBalancer"]["ingress"][0]["ip"]
    found = service.addresses(item, (30080, 8081))
    assert [one.url for one in found] == ["http://127.0.0.1:8081/", f"http://{balanced}:8080/"]
    assert [one.way for one in service.addresses(item, (30081, 8081))] == ["load balancer"]


def test_a_load_balancer_may_have_a_name_instead_of_an_address() -> None:
    item: dict[str, Any] = recorded("service")
    item["status"]["loadBalancer"]["ingress"] = [{"hostname": "lb.example.com"}]
    assert [one.url for one in service.addresses(item, None)] == ["http://lb.example.com:8080/"]


def test_a_service_without_an_address_yet_has_none() -> None:
    item: dict[str, Any] = recorded("service")
    item["status"] = {"loadBalancer": {}}
    assert service.addresses(item, None) == []


def test_node_ports_are_addresses_of_the_nodes_that_can_be_reached() -> None:
    item: dict[str, Any] = recorded("service")
    item["status"] = {}
    found = service.addresses(item, None, [node("10.0.0.1"), node("fd00::1")])
    assert [one.url for one in found] == ["http://10.0.0.1:30080/", "http://[fd00::1]:30080/"]


def test_the_first_port_is_the_applications() -> None:
    item: dict[str, Any] = recorded("service")
    item["spec"]["ports"].append({"name": "metrics", "port": 9090, "nodePort": 30090})
    assert service.addresses(item, (30080, 8081))[0].url == "http://127.0.0.1:8081/"
    assert [one.way for one in service.addresses(item, (30090, 8081))] == ["load balancer"]


def test_each_pod_is_asked_at_the_port_of_its_own_slice() -> None:
    slices = recorded("endpointslices")
    assert set(service.ready_ports(recorded("service"), slices).values()) == {8080}
    slices[0]["ports"].insert(0, {"name": "metrics", "port": 9090})
    assert set(service.ready_ports(recorded("service"), slices).values()) == {8080}
    ready = {"conditions": {"ready": True}}
    old = {
        "ports": [{"name": "", "port": 5000}],
        "endpoints": [{"targetRef": {"name": "ending"}, "conditions": {"ready": False}}],
    }
    new = {"ports": [{"port": 6000}], "endpoints": [{"targetRef": {"name": "new"}, **ready}]}
    assert service.ready_ports({"spec": {"ports": [{"port": 80}]}}, [old, new]) == {"new": 6000}


def test_the_owner_of_a_node_port_is_another_service() -> None:
    item: dict[str, Any] = recorded("service")
    name, namespace = item["metadata"]["name"], item["metadata"]["namespace"]
    assert service.node_port_owner([item], 30080, name, namespace) is None
    assert service.node_port_owner([item], 30080, "other", namespace) is item
    assert service.node_port_owner([item], 30081, "other", namespace) is None


def test_only_ready_endpoints_count() -> None:
    slices = recorded("endpointslices")
    assert len(service.ready_pods(slices)) == 3
    slices[0]["endpoints"][0]["conditions"]["ready"] = False
    assert len(service.ready_pods(slices)) == 2
    assert service.ready_pods([{"endpoints": None}]) == set()


def test_what_a_selector_asks_for_and_the_pods_do_not_have_is_named() -> None:
    item: dict[str, Any] = recorded("service")
    template: dict[str, Any] = recorded("ready")["deployment"]["spec"]["template"]
    assert service.unselected(item, template) == ""
    item["spec"]["selector"] |= {"app.kubernetes.io/name": "simple-sever"}
    assert service.unselected(item, template) == "app.kubernetes.io/name=simple-sever"
    assert service.unselected({"spec": {}}, template) == "", "one without a selector has endpoints that somebody else gives it"
