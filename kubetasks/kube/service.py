"""Where a service may answer, and which pods it sends requests to: pure functions of the API's objects."""

from collections.abc import Sequence
from dataclasses import dataclass

from kubetasks.kube.client import Object, within

MAPPED, BALANCER, NODE = "mapped port", "load balancer", "node port"
INTERNAL = "cluster-internal"  # a service without an external address


@dataclass(frozen=True)
class Address:
    """A URL that may answer, and its kind: MAPPED, BALANCER or NODE."""

    url: str
    way: str


def is_internal(service: Object | None) -> bool:
    """Return whether the service exists and answers only inside the cluster."""
    return bool(service) and within(service, "spec").get("type", "ClusterIP") == "ClusterIP"


def addresses(service: Object, mapped: tuple[int, int] | None, nodes: Sequence[Object] = ()) -> list[Address]:
    """Return every URL that may answer, the preferred one first.

    `mapped` is (node port, port of 127.0.0.1) if the cluster maps one. `nodes` are the nodes whose node ports this machine may
    reach. The first port is the application's. A service without ports, perhaps another user's, has no address.
    """
    ports = service["spec"].get("ports") or []
    if not ports:
        return []
    port = ports[0]
    known = []
    if mapped and port.get("nodePort") == mapped[0]:
        known.append(Address(f"http://127.0.0.1:{mapped[1]}/", MAPPED))
    for ingress in service.get("status", {}).get("loadBalancer", {}).get("ingress") or []:
        host = ingress.get("ip") or ingress.get("hostname")
        known.append(Address(f"http://{_bracketed(host)}:{port['port']}/", BALANCER))
    if port.get("nodePort"):
        hosts = [at["address"] for node in nodes for at in node["status"].get("addresses", []) if at["type"] == "InternalIP"]
        known += [Address(f"http://{_bracketed(host)}:{port['nodePort']}/", NODE) for host in hosts]
    return known


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def unselected(service: Object, template: Object) -> str:
    """Return the labels of the service's selector that the pod template lacks, as LABEL=VALUE, ...; "" if it lacks none."""
    labels = template["metadata"].get("labels") or {}
    wanted = within(service, "spec", "selector")
    return ", ".join(f"{name}={value}" for name, value in wanted.items() if labels.get(name) != value)


def node_port_owner(services: Sequence[Object], port: int, name: str, namespace: str) -> Object | None:
    """Return the service other than NAMESPACE/NAME that has that node port, or None."""
    for service in services:
        metadata = service["metadata"]
        own = (metadata["namespace"], metadata["name"]) == (namespace, name)
        if not own and any(entry.get("nodePort") == port for entry in service["spec"].get("ports", [])):
            return service
    return None


def ready_ports(service: Object | None, slices: Sequence[Object]) -> dict[str, int]:
    """Return the ready pods of a service's EndpointSlices, each with the port that the service's first port leads to.

    After a rollout that changes that port, there are slices with the old one and with the new one.
    """
    first = ((within(service, "spec").get("ports") or [{}])[0]).get("name") or ""
    pods: dict[str, int] = {}
    for part in slices:
        port = next((entry.get("port") for entry in part.get("ports") or [] if (entry.get("name") or "") == first), None)
        pods |= {
            endpoint["targetRef"]["name"]: int(port or 0)
            for endpoint in part.get("endpoints") or []
            if endpoint.get("conditions", {}).get("ready") and endpoint.get("targetRef")
        }
    return pods
